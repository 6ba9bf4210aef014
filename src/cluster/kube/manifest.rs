//! An Indexed Job as JSON.

use serde_json::{Map, Value, json};

use super::super::options::text;
use super::super::{Options, Order};
use super::LABEL;

/// A name as Kubernetes wants it, short enough to get an index and more behind it.
pub(super) fn job_name(order: &Order<'_>) -> String {
    let own = order.options.own_text("name");
    let name = own.as_deref().unwrap_or(order.name).to_ascii_lowercase();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    format!("{}-{}", name.trim_matches('-'), order.unique).trim_matches('-').to_owned()
}

pub(super) fn manifest(order: &Order<'_>) -> Value {
    let options = order.options;
    let name = job_name(order);
    let mut labels = texts(options.own("labels"));
    labels.insert(LABEL.to_owned(), name.clone().into());
    let mut metadata = json!({"name": name, "labels": labels});
    if let Some(namespace) = options.own_text("namespace") {
        metadata["namespace"] = namespace.into();
    }
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completionMode": "Indexed",
            "completions": order.tasks,
            "parallelism": order.max_running.map_or(order.tasks, |most| most.min(order.tasks)),
            // A task that fails is over and no other one with it; one whose node is taken away is not.
            "backoffLimitPerIndex": 0,
            "podFailurePolicy": {"rules": [{
                "action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            }]},
            // A day; the logs are elsewhere.
            "ttlSecondsAfterFinished": 86400,
            "template": {"metadata": {"labels": labels}, "spec": pod(order)},
        },
    })
}

fn pod(order: &Order<'_>) -> Value {
    let options = order.options;
    let script = format!("{}/{}", order.submit_dir, order.script_path());
    // The script's own shebang, but the file need not be executable there. `$(NAME)` in a command
    // is for Kubernetes to fill in; `$$` is a `$`.
    let interpreter = options.shebang.trim_start_matches("#!").split_whitespace();
    let command = interpreter.chain([script.as_str()]).map(|word| word.replace('$', "$$"));
    let env = match options.own("env") {
        Some(Value::Array(list)) => list.clone(),
        map => texts(map).iter().map(|(key, value)| json!({"name": key, "value": value})).collect(),
    };
    let none = Map::new();
    let volumes = options.own("volumes").and_then(Value::as_object).unwrap_or(&none);
    let named = || volumes.iter().enumerate().map(|(n, volume)| (format!("volume-{n}"), volume));
    let mounts: Vec<Value> =
        named().map(|(name, (path, _))| json!({"name": name, "mountPath": path})).collect();
    let sources: Vec<Value> = named()
        .map(|(name, (_, source))| {
            let mut volume = match source {
                Value::Object(source) => Value::Object(source.clone()),
                claim => json!({"persistentVolumeClaim": {"claimName": claim}}),
            };
            volume["name"] = name.into();
            volume
        })
        .collect();
    let mut spec = json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "task",
            "image": options.own_text("image"),
            "command": command.collect::<Vec<_>>(),
            "env": env,
            "resources": resources(options),
            "volumeMounts": mounts,
        }],
        "volumes": sources,
    });
    if let Some(time) = options.walltime {
        // Of the pod: the job's own would count the time that its tasks wait.
        spec["activeDeadlineSeconds"] = time.as_secs().into();
    }
    if let Some(account) = options.own_text("service_account") {
        spec["serviceAccountName"] = account.into();
    }
    for (key, value) in options.own("pod_spec").and_then(Value::as_object).unwrap_or(&none) {
        spec[key] = value.clone();
    }
    spec
}

/// What `resources` says, and of cpu and memory, where it does not, what `cores` and `memory` say.
/// No limit of cpu: a pod may use what lies idle.
fn resources(options: &Options) -> Value {
    let given = options.own("resources");
    let amounts = |kind: &str| texts(given.and_then(|given| given.get(kind)));
    let (mut limits, mut requests) = (amounts("limits"), amounts("requests"));
    let open = |what: &str| !limits.contains_key(what) && !requests.contains_key(what);
    let (cpu, memory) = (open("cpu"), options.memory.filter(|_| open("memory")));
    if cpu {
        requests.insert("cpu".to_owned(), options.cores.to_string().into());
    }
    if let Some(bytes) = memory {
        requests.insert("memory".to_owned(), bytes.to_string().into());
        limits.insert("memory".to_owned(), bytes.to_string().into());
    }
    json!({"limits": limits, "requests": requests})
}

/// A mapping, its values as texts.
fn texts(map: Option<&Value>) -> Map<String, Value> {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), text(value)?.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Kube;
    use super::*;

    #[test]
    fn resources_leave_to_the_user_what_is_theirs() {
        let given = json!({"cores": 2, "memory": "4GiB", "image": "i",
            "resources": {"requests": {"memory": "1Gi"}, "limits": {"nvidia.com/gpu": 1}}});
        let (options, _) = Options::read(&Kube, given.as_object().expect("a mapping"));
        let wanted = json!({"limits": {"nvidia.com/gpu": "1"},
            "requests": {"memory": "1Gi", "cpu": "2"}});
        assert_eq!(resources(&options), wanted);
    }

    #[test]
    fn names_are_host_names() {
        let name = |name: &str| {
            let options = Options::default();
            let order = Order {
                name,
                tasks: 100_000,
                max_running: None,
                options: &options,
                recipe_dir: "/r",
                command: &[],
                threads_per_worker: 1,
                folder: "../jobs/001",
                log: "job.001",
                submit_dir: "/e/logs",
                unique: "3f9a1c",
            };
            job_name(&order)
        };
        assert_eq!(name("espnet3-Vad_2.x"), "espnet3-vad-2-x-3f9a1c");
        assert_eq!(name("_ü_"), "3f9a1c");
        assert!(name(&"long_".repeat(30)).len() <= 63 - "-99999".len());
    }
}
