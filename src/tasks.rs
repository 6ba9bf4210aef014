//! The tasks of a job: which workers are started together, and where.

use anyhow::Result;

use crate::cluster::{GPUS, NVIDIA_SMI, Options, Ssh, gpus, scheduler, visible_gpus};
use crate::config::Parallel;
use crate::job::Task;
use crate::launch::ask;
use crate::refused::Refused;

/// Which workers are started together.
pub(crate) fn tasks(parallel: &Parallel) -> Result<Vec<Task>> {
    let workers = parallel.n_workers;
    if let Some(scheduler) = scheduler(&parallel.env) {
        let (options, _) = Options::read(scheduler, &parallel.options);
        let processes = options.processes;
        let full = std::iter::repeat_n(processes, (workers / processes) as usize);
        let rest = Some(workers % processes).filter(|rest| *rest > 0);
        return Ok(full.chain(rest).map(Task::of).collect());
    }
    match parallel.env.as_str() {
        "ssh" => {
            let (ssh, _) = Ssh::read(&parallel.options);
            let spread = ssh.spread(workers);
            let on = |(host, workers)| match ssh.stage {
                true => Task { staged_on: Some(host), ..Task::of(workers) },
                false => Task { host: Some(host), ..Task::of(workers) },
            };
            Ok(spread.map_err(|most| too_few_hosts(workers, most))?.into_iter().map(on).collect())
        }
        "local_gpu" => {
            let devices = visible_devices()?;
            if workers as usize > devices.len() {
                let message = format!("n_workers={workers} > num_gpus={}", devices.len());
                let hint = "one worker has one GPU; `nvidia-smi -L` and CUDA_VISIBLE_DEVICES tell \
                            which there are";
                return Err(Refused::new(message, hint).into());
            }
            Ok(vec![Task { devices, ..Task::of(workers) }])
        }
        _ => Ok(vec![Task::of(workers)]),
    }
}

fn too_few_hosts(workers: u32, most: u32) -> Refused {
    let message = format!("`n_workers` is {workers}, and `hosts` are for {most}");
    Refused::new(message, "a host without `*N` takes as many as it comes to")
}

/// This machine's GPUs, as far as this process may use them.
pub(crate) fn visible_devices() -> Result<Vec<String>> {
    let variable = std::env::var(GPUS).ok();
    if let Some(devices) = visible_gpus(variable.as_deref()) {
        return Ok(devices);
    }
    let argv: Vec<String> = NVIDIA_SMI.iter().map(|word| (*word).to_owned()).collect();
    match ask(&argv, std::path::Path::new(".")) {
        Ok(reply) if reply.code == Some(0) => Ok(gpus(&reply.stdout)),
        Ok(reply) => {
            let message = format!("nvidia-smi names no GPUs: {}", reply.complaint());
            Err(Refused::new(message, "`CUDA_VISIBLE_DEVICES=0,1` says which there are").into())
        }
        Err(error) => {
            let message = format!("this machine's GPUs cannot be found: {error:#}");
            Err(Refused::new(message, "`CUDA_VISIBLE_DEVICES=0,1` says which there are").into())
        }
    }
}
