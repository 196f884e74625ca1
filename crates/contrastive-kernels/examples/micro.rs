#![allow(missing_docs, clippy::all, unsafe_op_in_unsafe_fn)]
use contrastive_kernels::real::gemm;
use pulp::{Arch, Simd, WithSimd};
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (v[11].parse::<f64>().unwrap() + v[12].parse::<f64>().unwrap()) / 100.0
}
/// c[i*cs + v*L..] (+)= sum_k b(i,k) * a[k*as + v*L..]
#[inline(always)]
unsafe fn micro<S: Simd, const NV: usize, const NR: usize>(
    simd: S,
    ahead: usize,
    kk: usize,
    a: *const f32,
    a_s: usize,
    b: *const f32,
    b_i: usize,
    b_k: usize,
    c: *mut f32,
    c_s: usize,
    add: bool,
) {
    let lanes = S::F32_LANES;
    let mut acc = [[simd.splat_f32s(0.0); NV]; NR];
    for i in 0..NR {
        for v in 0..NV {
            core::arch::x86_64::_mm_prefetch::<3>(c.add(i * c_s + v * lanes) as *const i8);
        }
    }
    for k in 0..kk {
        let mut av = [simd.splat_f32s(0.0); NV];
        for v in 0..NV {
            av[v] = core::ptr::read_unaligned(a.add(k * a_s + v * lanes) as *const S::f32s);
        }
        if ahead > 0 {
            core::arch::x86_64::_mm_prefetch::<3>(b.add(k * b_k + ahead) as *const i8);
        }
        for i in 0..NR {
            let bv = simd.splat_f32s(*b.add(i * b_i + k * b_k));
            for v in 0..NV {
                acc[i][v] = simd.mul_add_e_f32s(bv, av[v], acc[i][v]);
            }
        }
    }
    for i in 0..NR {
        for v in 0..NV {
            let p = c.add(i * c_s + v * lanes) as *mut S::f32s;
            let x = if add { simd.add_f32s(core::ptr::read_unaligned(p), acc[i][v]) } else { acc[i][v] };
            core::ptr::write_unaligned(p, x);
        }
    }
}
/// m' lanes side: `panels` of NV*L columns each; n rows on the broadcast side.
struct Prod<const NV: usize, const NR: usize> {
    ahead: usize,
    outer: bool,
    n: usize,
    panels: usize,
    kk: usize,
    kc: usize,
    a: *const f32,
    a_panel: usize,
    a_s: usize,
    b: *const f32,
    b_i: usize,
    b_k: usize,
    c: *mut f32,
    c_s: usize,
    add: bool,
}
impl<const NV: usize, const NR: usize> WithSimd for Prod<NV, NR> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        unsafe {
            let w = NV * S::F32_LANES;
            let mut k0 = 0;
            while k0 < self.kk {
                let kc = self.kc.min(self.kk - k0);
                if self.outer {
                    let mut i = 0;
                    while i < self.n {
                        for p in 0..self.panels {
                            let a = self.a.add(p * self.a_panel + k0 * self.a_s);
                            micro::<S, NV, NR>(
                                simd,
                                self.ahead,
                                kc,
                                a,
                                self.a_s,
                                self.b.add(i * self.b_i + k0 * self.b_k),
                                self.b_i,
                                self.b_k,
                                self.c.add(i * self.c_s + p * w),
                                self.c_s,
                                self.add || k0 > 0,
                            );
                        }
                        i += NR;
                    }
                    k0 += kc;
                    continue;
                }
                for p in 0..self.panels {
                    let a = self.a.add(p * self.a_panel + k0 * self.a_s);
                    let mut i = 0;
                    while i < self.n {
                        micro::<S, NV, NR>(
                            simd,
                            self.ahead,
                            kc,
                            a,
                            self.a_s,
                            self.b.add(i * self.b_i + k0 * self.b_k),
                            self.b_i,
                            self.b_k,
                            self.c.add(i * self.c_s + p * w),
                            self.c_s,
                            self.add || k0 > 0,
                        );
                        i += NR;
                    }
                }
                k0 += kc;
            }
        }
    }
}
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let (r, c, m, d) = (a[0], a[1], a[2], a[3]);
    let mut s = 12345u64;
    let mut rnd = |k: usize| -> Vec<f32> {
        (0..k)
            .map(|_| {
                s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((s >> 40) as f32 / 16777216.0 - 0.5) * 0.3
            })
            .collect()
    };
    let (q, k) = (rnd(r * d), rnd(m * d));
    let mut tiles = vec![0f32; r * m];
    let mut dk = vec![0f32; m * d];
    let mut part = vec![0f32; r * d];
    // packed panels of 64
    let mut kp = vec![0f32; m * d];
    for p in 0..m / 64 {
        for t in 0..d {
            for l in 0..64 {
                kp[p * 64 * d + t * 64 + l] = k[(p * 64 + l) * d + t];
            }
        }
    }
    let flops = 2.0 * (r * m * d) as f64;
    let time = |name: &str, f: &mut dyn FnMut(usize)| {
        for _ in 0..2 {
            let c0 = cpu();
            let mut n = 0.0;
            while cpu() - c0 < 1.0 {
                for t in 0..m / c {
                    f(t);
                }
                n += 1.0;
            }
            print!("{name} {:.1}  ", flops * n / (cpu() - c0) / 1e9);
        }
        println!();
    };
    let arch = Arch::new();
    let hot = {
        let mut x = vec![0f32; 512 * 512];
        let (q2, k2) = (rnd(512 * d), rnd(512 * d));
        let c0 = cpu();
        let mut n = 0.0;
        while cpu() - c0 < 1.0 {
            gemm([512, 512, d], &mut x, [512, 1], &q2, [d, 1], &k2, [1, d], 0.0, 1.0);
            n += 1.0;
        }
        2.0 * 512. * 512. * d as f64 * n / (cpu() - c0) / 1e9
    };
    println!("hot 512 gemm {hot:.1}");
    for outer in [false, true] {
        time(&format!("own1 outer {outer}"), &mut |t| {
            arch.dispatch(Prod::<4, 6> {
                ahead: 0,
                outer,
                n: r,
                panels: c / 64,
                kk: d,
                kc: d,
                a: kp[t * c * d..].as_ptr(),
                a_panel: 64 * d,
                a_s: 64,
                b: q.as_ptr(),
                b_i: d,
                b_k: 1,
                c: tiles[t * r * c..].as_mut_ptr(),
                c_s: c,
                add: false,
            })
        });
    }
    time("gemm1", &mut |t| {
        gemm([r, c, d], &mut tiles[t * r * c..][..r * c], [c, 1], &q, [d, 1], &k[t * c * d..], [1, d], 0.0, 1.0)
    });
    for kc in [128, 256] {
        for outer in [false, true] {
            time(&format!("own2 kc {kc} outer {outer}"), &mut |t| {
                arch.dispatch(Prod::<4, 6> {
                    ahead: 0,
                    outer,
                    n: r,
                    panels: d / 64,
                    kk: c,
                    kc,
                    a: k[t * c * d..].as_ptr(),
                    a_panel: 64,
                    a_s: d,
                    b: tiles[t * r * c..].as_ptr(),
                    b_i: c,
                    b_k: 1,
                    c: part.as_mut_ptr(),
                    c_s: d,
                    add: false,
                })
            });
        }
    }
    time("gemm2", &mut |t| {
        gemm([r, d, c], &mut part, [d, 1], &tiles[t * r * c..][..r * c], [c, 1], &k[t * c * d..], [d, 1], 0.0, 1.0)
    });
    for kc in [64, 96, 192] {
        for outer in [false, true] {
            for ahead in [0, 16, 32] {
                time(&format!("own3 kc {kc} outer {outer} ahead {ahead}"), &mut |t| {
                    arch.dispatch(Prod::<4, 6> {
                        ahead,
                        outer,
                        n: c / 6 * 6,
                        panels: d / 64,
                        kk: r,
                        kc,
                        a: q.as_ptr(),
                        a_panel: 64,
                        a_s: d,
                        b: tiles[t * r * c..].as_ptr(),
                        b_i: 1,
                        b_k: c,
                        c: dk[t * c * d..].as_mut_ptr(),
                        c_s: d,
                        add: true,
                    })
                });
            }
        }
    }
    time("gemm3", &mut |t| {
        gemm(
            [c, d, r],
            &mut dk[t * c * d..][..c * d],
            [d, 1],
            &tiles[t * r * c..][..r * c],
            [1, c],
            &q,
            [d, 1],
            1.0,
            1.0,
        )
    });
}
