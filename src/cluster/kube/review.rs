//! What is odd about the options of a Kubernetes job.

use serde_json::{Map, Value};

use super::super::options::text;
use super::super::{Finding, Options};

/// Whether an option has the right form.
type Check<'a> = &'a dyn Fn(&Value) -> bool;

/// What makes a pod a task: not the user's.
const RESERVED: &[&str] = &["containers", "restartPolicy", "volumes"];

pub(super) fn review(options: &Options) -> Vec<Finding> {
    let mut found = Vec::new();
    if options.own("image").is_none() {
        let message = "`kube` needs an `image` in the options: the container image of a task";
        found.push(Finding::error("", message, "such as `image: registry.example/espnet:1`"));
    }
    for key in ["image", "name", "namespace", "service_account"] {
        if options.own(key).is_some() && options.own_text(key).is_none_or(|it| it.is_empty()) {
            let message = format!("`{key}` must be a text");
            found.push(Finding::error(key, message, "write it as text").of_value());
        }
    }
    let amounts = |it: &Value| mapping(it, &|it| text(it).is_some());
    let pod = |map: &Map<String, Value>| RESERVED.iter().all(|key| !map.contains_key(*key));
    let variables = |it: &Value| {
        mapping(it, &|it| text(it).is_some())
            || it.as_array().is_some_and(|it| it.iter().all(|one| one["name"].is_string()))
    };
    let paths =
        |it: &Value| it.as_object().is_some_and(|it| it.keys().all(|key| key.starts_with('/')));
    let kinds = |it: &Value| {
        it.as_object()
            .is_some_and(|it| it.keys().all(|key| matches!(key.as_str(), "limits" | "requests")))
    };
    let source = |it: &Value| it.is_string() || it.is_object();
    let checks: [(&str, Check<'_>, &str, &str); 5] = [
        ("env", &variables, "{OMP_PROC_BIND: close}", "names and values"),
        ("labels", &amounts, "{team: speech}", "names and values"),
        (
            "resources",
            &|it| kinds(it) && mapping(it, &amounts),
            "{limits: {nvidia.com/gpu: 1}}",
            "below `limits` and `requests`, names and amounts",
        ),
        (
            "volumes",
            &|it| paths(it) && mapping(it, &source),
            "{/data: CLAIM}",
            "absolute paths, each with a claim or a volume in Kubernetes' own words",
        ),
        (
            "pod_spec",
            &|it| it.as_object().is_some_and(pod),
            "{nodeSelector: {gpu: a100}}",
            "a mapping; `containers`, `restartPolicy` and `volumes` are not for it",
        ),
    ];
    for (key, good, example, hint) in checks {
        if let Some(given) = options.own(key).filter(|given| !good(given)) {
            let message = format!("`{key}` must be like `{example}`, but is {given}");
            found.push(Finding::error(key, message, hint).of_value());
        }
    }
    if options.own("volumes").is_none() {
        let message = "without `volumes` a pod does not see the run directory";
        let hint = "`volumes: {/data: CLAIM}`, if all of it is below /data";
        found.push(Finding::warning("", message, hint));
    }
    let without_effect = [
        ("queue", options.queue.is_some()),
        ("account", options.account.is_some()),
        ("job_extra_directives", !options.extra.is_empty()),
        ("job_directives_skip", !options.skip.is_empty()),
    ];
    for (key, _) in without_effect.into_iter().filter(|(_, given)| *given) {
        let message = format!("`{key}` has no effect on `kube`");
        let hint = "see `labels` and `pod_spec`";
        found.push(Finding::warning(key, message, hint));
    }
    found
}

fn mapping(value: &Value, good: &dyn Fn(&Value) -> bool) -> bool {
    value.as_object().is_some_and(|map| map.values().all(good))
}
