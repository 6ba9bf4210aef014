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

mod manifest;
mod replies;
mod review;

use super::kaldi::{Gpus, Kaldi};
use super::script::{Shell, quote, script};
use super::{
    Additions, Fields, Finding, Habits, Options, Order, Reply, SCRIPT, Scheduler, Submission,
    TaskState,
};
use manifest::{job_name, manifest};

pub(crate) struct Kube;

/// The label by which a job's pods are found, and the job itself.
const LABEL: &str = "espnet3-par/job";

impl Scheduler for Kube {
    fn name(&self) -> &'static str {
        "kube"
    }

    fn kaldi(&self) -> Kaldi {
        Kaldi {
            conf: None,
            program: None,
            path: None,
            directives: false,
            gpus: |gpus| {
                Gpus::Option("resources.limits", serde_json::json!({"nvidia.com/gpu": gpus}))
            },
        }
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
        review::review(options)
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
            files: vec![("manifest.json", manifest), (SCRIPT, script(order, &first, &shell))],
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
        replies::states(reply)
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
