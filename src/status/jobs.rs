//! Submissions, and how their tasks stand.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cluster::State;
use crate::inquiry::Inquiry;
use crate::job::Job;
use crate::run_dir::RunDir;

/// A submission, and what is known of its tasks: from the disk, else from the scheduler.
#[derive(Debug, Serialize)]
pub(crate) struct JobStatus {
    pub number: u32,
    pub cluster: String,
    /// The scheduler's name for it.
    pub id: Option<String>,
    /// What the scheduler said instead of taking it.
    pub refused: Option<String>,
    pub cancelled: bool,
    pub submitted: String,
    /// Where it was submitted.
    pub host: String,
    pub tasks: usize,
    pub queued: usize,
    pub running: usize,
    pub ended: usize,
    pub unknown: usize,
    /// The scheduler's words for tasks that have not ended, with how many they are.
    pub words: BTreeMap<String, usize>,
}

impl JobStatus {
    pub(super) fn of(run: &RunDir, job: &Job, inquiry: &Inquiry) -> Self {
        let submission = job.submission(run);
        let over = job.is_over(run);
        let (noted, ended) = (run.noted_tasks(job.number), job.ended_tasks(run));
        let mut status = Self {
            number: job.number,
            cluster: job.cluster.clone(),
            cancelled: submission.as_ref().is_some_and(|submitted| submitted.cancelled),
            refused: submission
                .as_ref()
                .filter(|submitted| submitted.id.is_none())
                .map(|submitted| submitted.reply().complaint()),
            id: submission.and_then(|submitted| submitted.id),
            submitted: job.submitted.clone(),
            host: job.host.clone(),
            tasks: job.tasks.len(),
            queued: 0,
            running: 0,
            ended: 0,
            unknown: 0,
            words: BTreeMap::new(),
        };
        for task in 0..job.tasks.len() as u32 {
            let known = inquiry.of(job, task);
            let count = match &known.state {
                _ if over || ended.contains(&task) || known.over() => &mut status.ended,
                Some(State::Queued(_)) => &mut status.queued,
                Some(State::Running(_)) => &mut status.running,
                None if noted.contains_key(&task) => &mut status.running,
                _ => &mut status.unknown,
            };
            *count += 1;
            if !over && !ended.contains(&task) && known.state.is_some() {
                *status.words.entry(known.words().to_owned()).or_default() += 1;
            }
        }
        status
    }
}
