//! Where the jobs run and with what: the options of the command line as the section `parallel`.

use std::path::Path;

use serde_json::{Map, Value};

use super::conf::Conf;
use super::words::Asked;
use crate::cluster::{Gpus, Kaldi, Scheduler, scheduler};
use crate::config::Flag;
use crate::names::nearest;
use crate::refused::Refused;
use crate::tasks::visible_devices;

/// The options that every backend understands; others must stand in a conf.
const KNOWN: &[&str] = &["mem", "gpu", "num_threads", "time"];

/// What the command line makes of the section `parallel`.
pub(super) struct Place {
    pub flags: Vec<Flag>,
    /// On this machine: the GPUs of each worker, as `CUDA_VISIBLE_DEVICES` names them.
    pub devices: Vec<String>,
    /// What has no effect and was probably meant to have one.
    pub doubts: Vec<String>,
}

/// What is known so far of where the jobs will run.
struct Site<'a> {
    asked: &'a Asked,
    /// `parallel` of the config file.
    section: &'a Map<String, Value>,
    env: String,
    conf: Option<Conf>,
}

impl Place {
    /// `section` is that of the file that `--parallel` names, if there is one.
    pub(super) fn of(asked: &Asked, section: &Value) -> anyhow::Result<Self> {
        let none = Map::new();
        let section = section.as_object().unwrap_or(&none);
        let said = asked.backend.as_deref().or_else(|| section.get("env")?.as_str());
        let gpus = asked.number("gpu")?.unwrap_or(0);
        let env = match said.unwrap_or("local") {
            "local" if gpus > 0 => "local_gpu",
            env => env,
        };
        let site = Site { asked, section, env: env.to_owned(), conf: conf(asked, env)? };
        let mut place = Self { flags: Vec::new(), devices: Vec::new(), doubts: Vec::new() };
        place.set("env", env, &format!("--backend {env}"));
        // A shard is one job, whatever the file says of shards.
        place.set("shards", Value::Null, "queue");
        place.set("shard_size", 1, "queue");
        match scheduler(env) {
            Some(scheduler) => place.on_scheduler(&site, scheduler, gpus)?,
            None => place.on_hosts(&site, gpus)?,
        }
        Ok(place)
    }

    fn set(&mut self, key: &str, value: impl Into<Value>, typed: &str) {
        let key = format!("parallel.{key}");
        self.flags.push(Flag { typed: typed.to_owned(), key, value: value.into() });
    }

    /// This machine, or hosts: as many jobs at a time as there is room for.
    fn on_hosts(&mut self, site: &Site<'_>, gpus: u32) -> anyhow::Result<()> {
        let asked = site.asked;
        for option in asked.options.keys().filter(|option| !KNOWN.contains(&option.as_str())) {
            let known =
                KNOWN.iter().copied().chain(["max_jobs_run", "config", "backend", "parallel"]);
            if let Some(near) = nearest(option, known) {
                let (typed, near) = (asked.typed(option), near.replace('_', "-"));
                self.doubts.push(format!("`{typed}` has no effect; is it meant to be `--{near}`?"));
            }
        }
        let threads = asked.number("num_threads")?.unwrap_or(1).max(1);
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        let room = match site.env.as_str() {
            "local_gpu" => {
                self.devices = gpus_for_each(gpus.max(1))?;
                self.devices.len() as u32
            }
            "ssh" if gpus > 0 => {
                let message = format!("`{}`: ssh hands no GPUs out", asked.typed("gpu"));
                let hint = "set CUDA_VISIBLE_DEVICES in the command, and say `--gpu 0`";
                return Err(Refused::new(message, hint).into());
            }
            "ssh" => u32::MAX,
            _ => (cores / threads).max(1),
        };
        if site.env == "ssh" && site.option("hosts").is_none() {
            self.set("options.hosts", machines()?, ".queue/machines");
        }
        let room = site.n_workers().unwrap_or(room);
        self.set("n_workers", site.at_once().min(room), "queue");
        self.set("options.threads_per_worker", threads, &asked.typed("num_threads"));
        Ok(())
    }

    /// One task a job: what is asked for is asked for each of them.
    fn on_scheduler(
        &mut self,
        site: &Site<'_>,
        scheduler: &dyn Scheduler,
        gpus: u32,
    ) -> anyhow::Result<()> {
        let (asked, throttles) = (site.asked, scheduler.throttles());
        let jobs = u32::try_from(asked.jobs.count()).unwrap_or(u32::MAX);
        let most = [asked.max_jobs_run, site.n_workers()].into_iter().flatten().min();
        self.set("n_workers", if throttles { jobs } else { site.at_once() }, "queue");
        if let Some(most) = most.filter(|most| throttles && *most < jobs) {
            self.set("max_running", most, &format!("--max-jobs-run {most}"));
        }
        self.set("options.processes", 1, "queue");
        let threads = asked.number("num_threads")?.map(|threads| threads.max(1));
        if threads.is_some() || site.option("cores").is_none() {
            self.set("options.cores", threads.unwrap_or(1), &asked.typed("num_threads"));
        }
        self.memory(site);
        let time = asked.options.get("time").filter(|_| !site.conf_has("time"));
        if time.is_some() || !site.section_has("walltime") {
            let time = time.map_or(Value::Null, |time| time.as_str().into());
            self.set("options.walltime", time, &asked.typed("time"));
        }
        if site.option("job_name").is_none() {
            let name = asked.run_dir();
            let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.set("options.job_name", name, "queue");
        }
        self.directives(site, &scheduler.kaldi(), gpus)
    }

    fn memory(&mut self, site: &Site<'_>) {
        let asked = site.asked;
        match asked.options.get("mem").filter(|_| !site.conf_has("mem")) {
            // qsub's and sbatch's letters stand for powers of 1024.
            Some(amount) if amount != "0" => {
                let binary = amount.ends_with(|c: char| "kKmMgGtT".contains(c));
                let amount = if binary { format!("{amount}iB") } else { amount.clone() };
                self.set("options.memory", amount, &asked.typed("mem"));
            }
            None if site.section_has("memory") => {}
            _ => self.set("options.memory", Value::Null, "queue"),
        }
    }

    fn directives(&mut self, site: &Site<'_>, kaldi: &Kaldi, gpus: u32) -> anyhow::Result<()> {
        let asked = site.asked;
        let mut lines: Vec<Value> = match site.option("job_extra_directives") {
            Some(Value::Array(lines)) => lines.clone(),
            Some(Value::String(line)) => vec![line.as_str().into()],
            _ => Vec::new(),
        };
        let before = lines.len();
        match &site.conf {
            Some(conf) => {
                let conf_lines = conf.directives(&site.env, kaldi.program, &asked.options)?;
                lines.extend(conf_lines.into_iter().map(Value::from));
            }
            None => lines.extend(kaldi.path.map(Value::from)),
        }
        if let Some(option) = asked.options.keys().find(|option| !site.understands(option)) {
            let message =
                format!("`{}`: nothing says what it means on `{}`", asked.typed(option), site.env);
            let hint = format!(
                "add `option {option}=* …` to the conf that `--config` names, with $0 for the value"
            );
            return Err(Refused::new(message, hint).into());
        }
        if gpus > 0 && !site.conf_has("gpu") {
            lines.extend(self.gpus(site, (kaldi.gpus)(gpus))?.map(Value::from));
        }
        if !asked.own.is_empty() && !kaldi.directives {
            let message = format!("`{}` means nothing to `{}`", asked.own[0], site.env);
            return Err(
                Refused::new(message, "leave it out, or say it in the `--parallel` file").into()
            );
        }
        lines.extend(asked.own.iter().map(|line| line.as_str().into()));
        if lines.len() > before {
            self.set("options.job_extra_directives", lines, "queue");
        }
        Ok(())
    }

    /// The directive that asks for GPUs for each job, or the option instead.
    fn gpus(&mut self, site: &Site<'_>, request: Gpus) -> Result<Option<String>, Refused> {
        let typed = site.asked.typed("gpu");
        match request {
            Gpus::Directive(line) => Ok(Some(line)),
            Gpus::Option(key, value) => {
                self.set(&format!("options.{key}"), value, &typed);
                Ok(None)
            }
            // Who writes the whole request has written this too.
            Gpus::Write(_) if site.option("resource_spec").is_some() => Ok(None),
            Gpus::Write(words) => {
                let message = format!("`{typed}`: every `{}` has its own words for that", site.env);
                Err(Refused::new(message, format!("say {words}")))
            }
        }
    }
}

impl Site<'_> {
    fn option(&self, name: &str) -> Option<&Value> {
        self.section.get("options")?.get(name).filter(|value| !value.is_null())
    }

    /// Whether the file says it, be it `null`.
    fn section_has(&self, option: &str) -> bool {
        self.section.get("options").is_some_and(|options| options.get(option).is_some())
    }

    fn conf_has(&self, option: &str) -> bool {
        self.conf.as_ref().is_some_and(|conf| conf.knows(option))
    }

    fn understands(&self, option: &str) -> bool {
        KNOWN.contains(&option) || self.conf_has(option)
    }

    fn n_workers(&self) -> Option<u32> {
        u32::try_from(self.section.get("n_workers")?.as_u64()?).ok()
    }

    /// How many jobs there may be at the same time, as far as it was said.
    fn at_once(&self) -> u32 {
        let jobs = u32::try_from(self.asked.jobs.count()).unwrap_or(u32::MAX);
        self.asked.max_jobs_run.map_or(jobs, |most| most.min(jobs))
    }
}

/// The conf that `--config` names. With `--backend` alone, the one that Kaldi's script for that
/// scheduler would read, if it is there.
fn conf(asked: &Asked, env: &str) -> Result<Option<Conf>, Refused> {
    let Some(scheduler) = scheduler(env) else { return Ok(None) };
    if let Some(path) = &asked.config {
        return Conf::read(path).map(Some);
    }
    let Some(usual) = scheduler.kaldi().conf else { return Ok(None) };
    let there = asked.parallel.is_none() && Path::new(usual).exists();
    there.then(|| Conf::read(Path::new(usual))).transpose()
}

/// This machine's GPUs, so many to a worker.
fn gpus_for_each(each: u32) -> anyhow::Result<Vec<String>> {
    let devices = visible_devices()?;
    let sets = devices.chunks_exact(each as usize);
    let sets: Vec<String> = sets.map(|set| set.join(",")).collect();
    if sets.is_empty() {
        let message = format!("`--gpu {each}`: this machine has {}", devices.len());
        let hint = "ask for fewer; `nvidia-smi -L` and CUDA_VISIBLE_DEVICES tell which there are";
        return Err(Refused::new(message, hint).into());
    }
    Ok(sets)
}

/// The hosts that ssh.pl would take.
fn machines() -> Result<Vec<String>, Refused> {
    let text = std::fs::read_to_string(".queue/machines").map_err(|_| {
        let hint = "`hosts: [node1, node2]` in the options of a `--parallel` file, or one name a \
                    line in .queue/machines";
        Refused::new("`--backend ssh` needs hosts", hint)
    })?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}
