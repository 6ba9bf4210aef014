//! What kubectl says of a job and its pods.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Reply, State, TaskState};
use super::LABEL;

/// What `kubectl get jobs,pods` says, if it is an answer.
///
/// # Errors
/// Its complaint.
pub(super) fn states(reply: &Reply) -> Result<Vec<TaskState>, String> {
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
}
