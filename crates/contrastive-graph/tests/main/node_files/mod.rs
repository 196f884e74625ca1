//! Small valid files of every format, written byte by byte.
#![allow(dead_code)]

use std::fs;
use std::io::Write;
use std::path::Path;

/// A pickle of protocol 2 with the opcodes of Planetoid's files.
#[derive(Clone, Default)]
pub struct Pickled(pub Vec<u8>);

impl Pickled {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }
    pub fn int(self, value: i32) -> Self {
        self.raw(b"J").raw(&value.to_le_bytes())
    }
    pub fn short(self, text: &[u8]) -> Self {
        self.raw(&[b'U', text.len() as u8]).raw(text)
    }
    pub fn long(self, text: &[u8]) -> Self {
        self.raw(b"T").raw(&(text.len() as u32).to_le_bytes()).raw(text)
    }
    /// A numpy array.
    pub fn array(self, shape: &[i32], dtype: &str, data: &[u8]) -> Self {
        let start = self.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray").raw(b"q\x01");
        let start = start.raw(b"K\x00\x85").short(b"b").raw(b"\x87R(K\x01(");
        let shaped = shape.iter().fold(start, |pickle, &side| pickle.int(side)).raw(b"t");
        let typed = shaped.global("numpy", "dtype").short(dtype.as_bytes()).raw(b"K\x00K\x01\x87R(K\x03");
        let typed = typed.short(b"<").raw(b"NNN").int(-1).int(-1).raw(b"K\x00tb");
        typed.raw(b"\x89").long(data).raw(b"tb")
    }
    pub fn csr(self, shape: [i32; 2], indptr: &[i32], indices: &[i32], values: &[f32]) -> Self {
        let ints = |values: &[i32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let floats: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let start = self.global("scipy.sparse.csr", "csr_matrix").raw(b")\x81}(").short(b"format").short(b"csr");
        let start = start.short(b"_shape").int(shape[0]).int(shape[1]).raw(b"\x86").short(b"maxprint").raw(b"K\x32");
        let start = start.short(b"indptr").array(&[indptr.len() as i32], "i4", &ints(indptr));
        let start = start.short(b"indices").array(&[indices.len() as i32], "i4", &ints(indices));
        start.short(b"data").array(&[values.len() as i32], "f4", &floats).raw(b"ub")
    }
    pub fn one_hot(self, classes: &[usize], columns: usize) -> Self {
        let cells = classes.iter().flat_map(|&class| (0..columns).map(move |c| i32::from(c == class)));
        let data: Vec<u8> = cells.flat_map(i32::to_le_bytes).collect();
        self.array(&[classes.len() as i32, columns as i32], "i4", &data)
    }
    pub fn graph(self, lists: &[(i32, &[i32])]) -> Self {
        let start = self.global("collections", "defaultdict").global("__builtin__", "list").raw(b"\x85R(");
        let filled = lists.iter().fold(start, |pickle, (node, list)| {
            let open = pickle.int(*node).raw(b"](");
            list.iter().fold(open, |pickle, &to| pickle.int(to)).raw(b"e")
        });
        filled.raw(b"u")
    }
    pub fn end(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// Six nodes; node 4 is missing from `test.index`.
pub fn planetoid(folder: &Path) -> Vec<&'static str> {
    let put = |part: &str, bytes: &[u8]| fs::write(folder.join(format!("ind.tiny.{part}")), bytes).unwrap();
    put("x", &Pickled::new().csr([1, 3], &[0, 2], &[0, 2], &[1.0, 1.0]).end());
    put("allx", &Pickled::new().csr([3, 3], &[0, 2, 3, 3], &[0, 2, 1], &[1.0, 1.0, 1.0]).end());
    put("tx", &Pickled::new().csr([2, 3], &[0, 1, 2], &[2, 0], &[1.0, 1.0]).end());
    put("y", &Pickled::new().one_hot(&[1], 2).end());
    put("ally", &Pickled::new().one_hot(&[1, 0, 1], 2).end());
    put("ty", &Pickled::new().one_hot(&[0, 1], 2).end());
    let lists: [(i32, &[i32]); 4] = [(0, &[1, 5, 1]), (1, &[0]), (5, &[0, 3]), (3, &[5, 3])];
    put("graph", &Pickled::new().graph(&lists).end());
    put("test.index", b"5\n3\n");
    vec!["ind.tiny.graph", "ind.tiny.allx", "ind.tiny.ty", "ind.tiny.test.index", "ind.tiny.tx", "ind.tiny.ally"]
}

/// An npy array.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (header.len() + 11) % 16 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

pub fn ints(values: &[i32]) -> Vec<u8> {
    npy("<i4", &format!("({},)", values.len()), &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

pub fn zipped(members: &[(String, Vec<u8>)], deflated: bool) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let method = if deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Four nodes in the given style of member names.
pub fn npz_members(adjacency: &str, attributes: &str) -> Vec<(String, Vec<u8>)> {
    let ones = |count: usize| npy("<f4", &format!("({count},)"), &1f32.to_le_bytes().repeat(count));
    let member = |prefix: &str, name: &str, bytes: Vec<u8>| (format!("{prefix}{name}"), bytes);
    vec![
        member(adjacency, "data", ones(4)),
        member(adjacency, "indices", ints(&[1, 2, 0, 3])),
        member(adjacency, "indptr", ints(&[0, 2, 3, 4, 4])),
        member(adjacency, "shape", ints(&[4, 4])),
        member(attributes, "data", ones(3)),
        member(attributes, "indices", ints(&[0, 4, 2])),
        member(attributes, "indptr", ints(&[0, 1, 2, 3, 3])),
        member(attributes, "shape", ints(&[4, 5])),
        ("labels".into(), npy("|i1", "(4,)", &[0, 1, 1, 0])),
        ("class_names".into(), npy("|S3", "(2,)", b"artsci")),
        ("node_objects".into(), npy("|O", "(4,)", b"\x80\x02cos\nsystem\n")),
    ]
}

/// A data element of a MATLAB file.
fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn words(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn variable(name: &str, class: u8, sides: [i32; 2], parts: &[(u32, Vec<u8>)], packed: bool) -> Vec<u8> {
    let mut body = element(6, &[class, 0, 0, 0, 0, 0, 0, 0]);
    body.extend(element(5, &words(&sides)));
    body.extend(element(1, name.as_bytes()));
    parts.iter().for_each(|(kind, data)| body.extend(element(*kind, data)));
    let matrix = element(14, &body);
    if !packed {
        return matrix;
    }
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(&matrix).unwrap();
    let data = packer.finish().unwrap();
    let mut bytes = [15u32.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    bytes.extend(data);
    bytes
}

/// Three nodes: a sparse network, sparse attributes, a column of labels.
pub fn matlab(packed: bool) -> Vec<u8> {
    let mut bytes = vec![b' '; 124];
    bytes.extend([0, 1, b'I', b'M']);
    let doubles = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let sparse = |ir: &[i32], jc: &[i32]| vec![(5, words(ir)), (5, words(jc)), (9, doubles(&vec![1.0; ir.len()]))];
    bytes.extend(variable("Network", 5, [3, 3], &sparse(&[1, 0, 2, 1], &[0, 1, 3, 4]), packed));
    bytes.extend(variable("Attributes", 5, [3, 4], &sparse(&[0, 2], &[0, 1, 1, 2, 2]), packed));
    bytes.extend(variable("Label", 9, [3, 1], &[(2, vec![1, 2, 1])], packed));
    bytes
}

/// Name of a file to open, and all files of it.
pub type Set = (&'static str, Vec<(&'static str, Vec<u8>)>);

/// Text formats.
pub fn texts() -> Vec<Set> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    vec![
        (
            "out1_graph_edges.txt",
            vec![
                ("out1_graph_edges.txt", bytes("node_id\tnode_id\n0\t1\n1\t2\n2\t2\n")),
                (
                    "out1_node_feature_label.txt",
                    bytes("node_id\tfeature\tlabel\n1\t0,1,1\t0\n0\t1,0,0\t1\n2\t0,0,1\t1\n"),
                ),
            ],
        ),
        (
            "out1_graph_edges.txt",
            vec![
                ("out1_graph_edges.txt", bytes("node_id\tnode_id\n0\t1\n1\t2\n")),
                (
                    "out1_node_feature_label.txt",
                    bytes("node_id\tfeature(feature_amount:5)\tlabel\n1\t4,2\t0\n0\t1\t1\n2\t0,3\t1\n"),
                ),
            ],
        ),
        (
            "a_edges.csv",
            vec![
                ("a_edges.csv", bytes("id1,id2\n0,1\n1,2\n1,0\n")),
                ("a_features.json", bytes("{\"1\": [3, 2], \"0\": [1], \"2\": []}")),
                ("a_target.csv", bytes("id,target\n0,17\n1,3\n2,99\n")),
            ],
        ),
        (
            "edges.csv",
            vec![
                ("edges.csv", bytes("src,dst\n0,1\n1,2\n0,3\n")),
                ("features.csv", bytes("node,feature,value\n0,1,2\n1,0,1\n2,3,1\n")),
                ("labels.csv", bytes("node,label\n0,1\n1,0\n2,-1\n3,1\n")),
                ("split.csv", bytes("node,split\n0,train\n1,val\n3,test\n")),
            ],
        ),
        (
            "a.edgelist",
            vec![
                ("a.edgelist", bytes("# comment\n10 20 0.5\n20 30 1\n30 30 2\n")),
                ("labels-a.txt", bytes("node label\n10 1\n20 2\n30 2\n40 1\n")),
                ("a.features", bytes("10 1 0\n20 0.5 1\n40 2 2\n")),
            ],
        ),
    ]
}
