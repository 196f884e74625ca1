//! `contrastive recommend`.

use super::{listed, open};
use crate::Answer;
use crate::args::RecommendArgs;
use crate::domain::Asked;
use crate::failure::Failure;
use serde_json::json;

pub(crate) fn recommend(args: &RecommendArgs) -> Result<Answer, Failure> {
    let run = open(&args.run, &args.device)?;
    let asked = Asked { users: args.users.clone(), after: args.after.clone(), k: args.k, keep_seen: args.keep_seen };
    let found = run.method()?.domain.recommend(&run, &asked)?;
    let (mut rows, mut users) = (Vec::new(), Vec::new());
    for one in &found {
        let ranked = one.items.iter().enumerate();
        rows.extend(ranked.map(|(at, (item, score))| {
            vec![one.user.clone(), (at + 1).to_string(), item.clone(), format!("{score:.6}")]
        }));
        let items: Vec<_> = one.items.iter().map(|(item, score)| json!({"item": item, "score": score})).collect();
        users.push(json!({"user": one.user, "items": items}));
    }
    listed(&["user", "rank", "item", "score"], &rows, args.out.as_deref(), json!({ "recommendations": users }))
}
