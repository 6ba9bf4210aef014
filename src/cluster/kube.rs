//! Kubernetes: a job is an Indexed Job, a task one of its pods; kubectl speaks for us.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/>, 1.29 or later.
//!
//! Its own options:
//! - `image`, which must be given: a container image that has bash. The program, the recipe and the
//!   run directory may come with a volume, at the same paths as here.
//! - `volumes`: what is to be seen below which path, `{/data: CLAIM}` for a PersistentVolumeClaim, or
//!   any of Kubernetes' own, as in `{/data: {nfs: {server: fs1, path: /export}}}`.
//! - `namespace`, `name`, `resources` and `env` as dask's KubeCluster has them. What `resources`
//!   leaves open of cpu and memory, `cores` and `memory` say.
//! - `service_account`; `labels` for the job and its pods; `pod_spec` for all else, merged into the
//!   pods' spec, as in `{nodeSelector: {gpu: a100}}`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::options::text;
use super::script::{Shell, quote, script};
use super::{
    Additions, Fields, Finding, Habits, Options, Order, Reply, Scheduler, State, Submission,
    TaskState,
};

/// Whether an option has the right form.
type Check<'a> = &'a dyn Fn(&Value) -> bool;

pub(super) struct Kube;

/// The label by which a job's pods are found, and the job itself.
const LABEL: &str = "espnet3-par/job";

/// What makes a pod a task: not the user's.
const RESERVED: &[&str] = &["containers", "restartPolicy", "volumes"];

impl Scheduler for Kube {
    fn name(&self) -> &'static str {
        "kube"
    }

    fn own_options(&self) -> &'static [&'static str] {
        &[
            "env",
            "image",
            "labels",
            "name",
            "namespace",
            "pod_spec",
            "resources",
            "service_account",
            "volumes",
        ]
    }

    fn habits(&self) -> Habits {
        Habits {
            needs_cores_and_memory: false,
            default_walltime: None,
            two_fields: Fields::MinutesSeconds,
            bare_number: 1,
        }
    }

    fn review(&self, options: &Options) -> Vec<Finding> {
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
            it.as_object().is_some_and(|it| {
                it.keys().all(|key| matches!(key.as_str(), "limits" | "requests"))
            })
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

    fn submission(&self, order: &Order<'_>) -> Submission {
        let manifest = serde_json::to_string_pretty(&manifest(order)).unwrap_or_default() + "\n";
        // A pod's output goes with the pod: it is kept where all logs are. Where that cannot be, the
        // complaint is in the pod's.
        let index = "\"${JOB_COMPLETION_INDEX:-0}\"";
        let output = match &order.options.log_directory {
            Some(folder) => {
                let stem = quote(&format!("{folder}/{}-", job_name(order)));
                format!("exec >>{stem}{index}.out 2>>{stem}{index}.err || exit 1")
            }
            None => {
                let stem = quote(&format!("{}/{}.", order.submit_dir, order.log));
                format!("exec >>{stem}{index}.log 2>&1 || exit 1")
            }
        };
        // What other schedulers set, and `local_directory` may name.
        let first = [output, "export TMPDIR=${TMPDIR:-/tmp}".to_owned()];
        let shell = Shell { task: "${JOB_COMPLETION_INDEX:-0}", ends_at: None };
        let argv =
            ["kubectl", "create", "-o", "name", "-f", &format!("{}/manifest.json", order.folder)];
        Submission {
            files: vec![("manifest.json", manifest), ("job.sh", script(order, &first, &shell))],
            argv: argv.map(String::from).into(),
            stdin: None,
        }
    }

    fn job_id(&self, stdout: &str) -> Option<String> {
        // `job.batch/NAME`
        let last = stdout.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        let name = last.strip_prefix("job.batch/")?.split(' ').next()?;
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (!name.is_empty() && name.bytes().all(good)).then(|| name.to_owned())
    }

    fn trial(&self, submission: &Submission) -> Option<Vec<String>> {
        let mut argv = submission.argv.clone();
        argv.insert(2, "--dry-run=server".to_owned());
        Some(argv)
    }

    fn query(&self, ids: &[String]) -> Vec<String> {
        let these = format!("{LABEL} in ({})", ids.join(","));
        ["kubectl", "get", "jobs,pods", "-o", "json", "-l", &these].map(String::from).into()
    }

    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String> {
        let list: Value = serde_json::from_str(&reply.stdout).unwrap_or_default();
        let items = list["items"].as_array().filter(|_| list["kind"] == "List");
        let Some(items) = items.filter(|items| !items.is_empty() || reply.code == Some(0)) else {
            return Err(reply.complaint());
        };
        let mut jobs: BTreeMap<&str, Job<'_>> = BTreeMap::new();
        for item in items {
            let name = item["metadata"]["labels"][LABEL].as_str();
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            let job = jobs.entry(name).or_default();
            match item["kind"].as_str() {
                Some("Job") => job.item = Some(item),
                Some("Pod") => job.pods.push(item),
                _ => {}
            }
        }
        Ok(jobs.iter().flat_map(|(name, job)| job.states(name, reply.code == Some(0))).collect())
    }

    fn cancel(&self, ids: &[String]) -> Vec<String> {
        let argv = ["kubectl", "delete", "jobs", "--ignore-not-found", "--wait=false"];
        [&argv.map(String::from), ids].concat()
    }

    fn already_gone(&self) -> &'static [&'static str] {
        &["NotFound"]
    }

    fn additions(&self, options: &Options) -> Additions {
        let namespace = options.own_text("namespace");
        let words = namespace.map_or_else(Vec::new, |name| vec!["-n".to_owned(), name]);
        Additions { query: words.clone(), cancel: words }
    }
}

/// A name as Kubernetes wants it, short enough to get an index and more behind it.
fn job_name(order: &Order<'_>) -> String {
    let own = order.options.own_text("name");
    let name = own.as_deref().unwrap_or(order.name).to_ascii_lowercase();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    format!("{}-{}", name.trim_matches('-'), order.unique).trim_matches('-').to_owned()
}

fn manifest(order: &Order<'_>) -> Value {
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
    let script = format!("{}/{}/job.sh", order.submit_dir, order.folder);
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

fn mapping(value: &Value, good: &dyn Fn(&Value) -> bool) -> bool {
    value.as_object().is_some_and(|map| map.values().all(good))
}

/// A job and its pods, as far as the reply has them.
#[derive(Default)]
struct Job<'a> {
    item: Option<&'a Value>,
    pods: Vec<&'a Value>,
}

impl Job<'_> {
    /// `whole`: the reply has all there is.
    fn states(&self, name: &str, whole: bool) -> Vec<TaskState> {
        let status = self.item.map_or(&Value::Null, |job| &job["status"]);
        let condition = |kind: &str| {
            let all = status["conditions"].as_array().into_iter().flatten();
            all.into_iter().find(|one| one["type"] == kind && one["status"] == "True")
        };
        let finished = condition("Complete").or_else(|| condition("Failed"));
        let over = finished.is_some() || (self.item.is_none() && whole);
        let mut tasks: BTreeMap<u32, State> = BTreeMap::new();
        let (completed, failed) =
            (indexes(&status["completedIndexes"]), indexes(&status["failedIndexes"]));
        for pod in &self.pods {
            let Some((index, state)) = pod_state(pod) else { continue };
            let state = match state {
                // One that failed may get a successor: the job decides.
                State::Ended(words)
                    if !over && !completed.contains(&index) && !failed.contains(&index) =>
                {
                    State::Queued(format!("{words}; its index is not over yet"))
                }
                state => state,
            };
            // Of several pods of an index the one that is most alive.
            let alive = |state: &State| match state {
                State::Running(_) => 3,
                State::Unknown(_) => 2,
                State::Queued(_) => 1,
                State::Ended(_) => 0,
            };
            if tasks.get(&index).is_none_or(|other| alive(other) < alive(&state)) {
                tasks.insert(index, state);
            }
        }
        for (indexes, words) in [(completed, "completed"), (failed, "failed")] {
            for index in indexes {
                tasks.entry(index).or_insert_with(|| State::Ended(words.to_owned()));
            }
        }
        let told = tasks.len() as u64;
        let job = name.to_owned();
        let mut states: Vec<TaskState> = tasks
            .into_iter()
            .map(|(task, state)| TaskState { job: job.clone(), task: Some(task), state })
            .collect();
        let wanted = self.item.and_then(|job| job["spec"]["completions"].as_u64()).unwrap_or(0);
        let rest = match (finished, condition("Suspended")) {
            (Some(finished), _) => Some(State::Ended(words(finished, "type"))),
            (None, Some(_)) => Some(State::Queued("Suspended".to_owned())),
            (None, None) if told < wanted => Some(State::Queued("no pod seen".to_owned())),
            (None, None) => None,
        };
        states.extend(rest.map(|state| TaskState { job, task: None, state }));
        states
    }
}

/// `0,2-4`
fn indexes(text: &Value) -> Vec<u32> {
    let parts = text.as_str().unwrap_or_default().split(',');
    let ranges = parts.filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    // Kubernetes allows for a hundred thousand.
    ranges
        .filter(|range: &std::ops::RangeInclusive<u32>| *range.end() < 1_000_000)
        .flatten()
        .collect()
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>
fn pod_state(pod: &Value) -> Option<(u32, State)> {
    let (metadata, status) = (&pod["metadata"], &pod["status"]);
    let key = "batch.kubernetes.io/job-completion-index";
    let index = metadata["annotations"][key].as_str().or(metadata["labels"][key].as_str())?;
    let phase = status["phase"].as_str().unwrap_or("no phase");
    let container = &status["containerStatuses"][0]["state"];
    let state = match phase {
        "Pending" => {
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let scheduled = conditions.into_iter().find(|one| one["type"] == "PodScheduled");
            let unscheduled = scheduled.filter(|one| one["status"] == "False");
            let why = unscheduled.unwrap_or(&container["waiting"]);
            State::Queued(join(phase, words(why, "reason")))
        }
        "Running" => {
            let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
            State::Running(join(phase, node))
        }
        "Succeeded" => State::Ended(phase.to_owned()),
        "Failed" => {
            let ended = &container["terminated"];
            let code = ended["exitCode"].as_u64().map(|code| format!("exit code {code}"));
            let why = [words(status, "reason"), words(ended, "reason"), code.unwrap_or_default()];
            State::Ended(why.into_iter().fold(phase.to_owned(), join))
        }
        other => State::Unknown(join(other, words(status, "reason"))),
    };
    Some((index.parse().ok()?, state))
}

/// `reason: message`, what there is of it.
fn words(about: &Value, key: &str) -> String {
    let parts = [&about[key], &about["message"]].into_iter().filter_map(Value::as_str);
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

fn join(first: impl Into<String>, more: impl AsRef<str>) -> String {
    let first = first.into();
    match more.as_ref() {
        "" => first,
        more => format!("{first}, {more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_indexes() {
        let read = |text: &str| indexes(&text.into());
        assert_eq!(read("0,2-4,7"), [0, 2, 3, 4, 7]);
        assert_eq!(read(""), [0; 0]);
        assert_eq!(read("1,x,0-99999999999,4-2"), [1]);
        assert_eq!(read("0-4294967295"), [0; 0]);
    }

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
