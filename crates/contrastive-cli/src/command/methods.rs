//! `contrastive methods`.

use crate::Answer;
use crate::args::MethodsArgs;
use crate::domain::domains;
use crate::failure::Failure;
use crate::registry;
use crate::settings::listed;
use serde_json::json;
use std::fmt::Write;

pub(crate) fn methods(args: &MethodsArgs) -> Result<Answer, Failure> {
    if let Some(name) = &args.method {
        let method = registry::method(name)?;
        let mut text = format!(
            "# {}: {}\n# learns from {}: {}\n",
            method.name,
            method.about,
            method.domain.name(),
            method.domain.about()
        );
        for (path, value) in listed(&method.defaults) {
            match value.is_null() {
                true => writeln!(text, "# {path} is not set"),
                false => writeln!(text, "{path} = {value}"),
            }
            .expect("memory takes what is written");
        }
        let json = json!({"name": method.name, "about": method.about, "domain": method.domain.name(), "settings": method.defaults});
        return Ok(Answer { text, json });
    }
    let all = registry::methods();
    let asked = |name: &str| args.domain.as_ref().is_none_or(|domain| domain == name);
    let (mut text, mut list) = (String::new(), Vec::new());
    for domain in domains().into_iter().filter(|domain| asked(domain.name())) {
        text.push_str(&format!("{} ({})\n", domain.name(), domain.about()));
        for method in all.iter().filter(|method| method.domain.name() == domain.name()) {
            text.push_str(&format!("  {:14} {}\n", method.name, method.about));
            list.push(json!({"name": method.name, "about": method.about, "domain": domain.name()}));
        }
    }
    Ok(Answer { text, json: json!({ "methods": list }) })
}
