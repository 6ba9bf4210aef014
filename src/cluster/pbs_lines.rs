//! What PBS, Torque and Moab have in common: `#PBS` lines, amounts of memory, job ids.

use super::script::directives;
use super::units::hms;
use super::{Fields, Finding, Habits, Options, Order};

pub(super) const HABITS: Habits = Habits {
    needs_cores_and_memory: true,
    default_walltime: Some(30 * 60),
    two_fields: Fields::MinutesSeconds,
    bare_number: 1,
};

/// `-N`, `-q`, `-A`.
pub(super) fn head(order: &Order<'_>) -> Vec<String> {
    let options = order.options;
    let mut lines = vec![format!("-N {}", order.name)];
    lines.extend(options.queue.as_ref().map(|queue| format!("-q {}", quote(queue))));
    lines.extend(options.account.as_ref().map(|account| format!("-A {}", quote(account))));
    lines
}

/// One word of a directive: qsub takes quotes and backslashes out as a shell does.
pub(super) fn quote(word: &str) -> String {
    shell_words::quote(word).into_owned()
}

/// dask-jobqueue's `pbs_format_bytes_ceil`: a unit from ten of it on, rounded up.
pub(super) fn memory(bytes: u64) -> String {
    let units = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= 10 * unit);
    let (unit, name) = unit.unwrap_or((1, "B"));
    format!("{}{name}", bytes.div_ceil(unit))
}

/// The `-l` lists that the script gets, and the user's lines with what they ask for.
#[derive(Debug, Clone)]
pub(super) struct Resources {
    pub lists: Vec<String>,
    extra: Vec<String>,
}

impl Resources {
    /// The lists beside the user's lines.
    pub(super) fn beside(options: &Options, lists: Vec<String>) -> Self {
        let lists = lists.into_iter().filter(|list| !skips(options, list)).collect();
        Self { lists, extra: options.extra.clone() }
    }

    /// The same with a request for one node before them, `select=1:ncpus=8`. A line of the user
    /// that asks for one node too, `-l select=1:ngpus=1`, is folded into it: one of the two would
    /// not count.
    pub(super) fn folded(options: &Options, request: &str, lists: Vec<String>) -> Self {
        if skips(options, request) {
            return Self::beside(options, lists);
        }
        let mut parts: Vec<&str> = request.split(':').collect();
        for part in options.extra.iter().filter_map(|line| one_node(line, request)).flatten() {
            match parts.iter().position(|old| name(old) == name(part)) {
                Some(at) => parts[at] = part,
                None => parts.push(part),
            }
        }
        let folded = parts.join(":");
        let mut resources = Self::beside(options, lists);
        resources.lists.insert(0, folded);
        resources.extra.retain(|line| one_node(line, request).is_none());
        resources
    }

    /// `select=1:ncpus=8:mem=15GB`, as PBS wants it, or the user's `resource_spec`; the walltime.
    pub(super) fn by_select(options: &Options) -> Self {
        let mut request = format!("select=1:ncpus={}", options.cores);
        if let Some(bytes) = options.memory {
            request += &format!(":mem={}", memory(bytes));
        }
        let walltime = options.walltime.map(|time| format!("walltime={}", hms(time)));
        match options.own_text("resource_spec") {
            Some(spec) => Self::beside(options, [spec].into_iter().chain(walltime).collect()),
            None => Self::folded(options, &request, walltime.into_iter().collect()),
        }
    }

    /// `nodes=1:ppn=8`, `mem=15GB`, as Torque and Moab want it, or the user's `resource_spec`;
    /// the walltime.
    pub(super) fn by_nodes(options: &Options) -> Self {
        let request = format!("nodes=1:ppn={}", options.cores);
        let memory = options.memory.map(|bytes| format!("mem={}", memory(bytes)));
        let walltime = options.walltime.map(|time| format!("walltime={}", hms(time)));
        match options.own_text("resource_spec") {
            Some(spec) => Self::beside(options, [spec].into_iter().chain(walltime).collect()),
            None => Self::folded(options, &request, memory.into_iter().chain(walltime).collect()),
        }
    }

    /// What Torque and Moab have against it.
    pub(super) fn review_nodes(&self, whose: &str) -> Vec<Finding> {
        let rule = format!("it depends on the version of {whose} which of them counts");
        let mut found = self.doubled(&rule);
        let select = |item: &str| name(item) == "select";
        let key = if self.lists.iter().any(|list| list.split(',').any(select)) {
            "resource_spec"
        } else if self.asked().any(select) {
            "job_extra_directives"
        } else {
            return found;
        };
        let message = format!("{whose} knows no `-l select=`, which is PBS Professional's");
        let hint = "such as `resource_spec: \"nodes=1:ppn=8,mem=16gb\"`";
        found.push(Finding::warning(key, message, hint));
        found
    }

    /// Words of the user's `-l` lines.
    pub(super) fn asked(&self) -> impl Iterator<Item = &str> {
        self.extra.iter().flat_map(|line| asked(line))
    }

    /// What is asked for twice. `rule` says which one counts.
    pub(super) fn doubled(&self, rule: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        let lists = self.lists.iter().flat_map(|list| list.split(','));
        let lists = lists.map(|item| ("resource_spec", item));
        for (key, item) in lists.chain(self.asked().map(|item| ("job_extra_directives", item))) {
            if let Some(first) = seen.iter().find(|first| name(first) == name(item)) {
                let message = format!("`-l {item}` beside `-l {first}`: {rule}");
                let finding = match name(item) {
                    "walltime" => {
                        Finding::warning(key, message, "give it as `walltime`, and only there")
                    }
                    "select" => {
                        Finding::error(key, message, "give all of it as one `resource_spec`")
                    }
                    _ => Finding::warning(key, message, "give all of it as one `resource_spec`"),
                };
                found.push(finding);
            }
            seen.push(item);
        }
        found
    }

    /// All directives of the script.
    pub(super) fn directives(&self, before: &[String], order: &Order<'_>) -> Vec<String> {
        let mut options = order.options.clone();
        options.extra.clone_from(&self.extra);
        directives("#PBS", before, &Order { options: &options, ..order.clone() })
    }

    /// The lists as directives.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.lists.iter().map(|list| format!("-l {list}"))
    }
}

/// `walltime` of `walltime=01:00:00`.
pub(super) fn name(item: &str) -> &str {
    item.split('=').next().unwrap_or(item)
}

/// What a directive asks for with `-l`: `select=1:ngpus=1` and `walltime=01:00:00`, say.
fn asked(line: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let Some(list) = word.strip_prefix("-l") else { continue };
        let list = if list.is_empty() { words.next().unwrap_or_default() } else { list };
        let list = list.trim_matches(['"', '\'']);
        items.extend(list.split(',').filter(|item| !item.is_empty()));
    }
    items
}

/// `ngpus=1` of a line that is `-l select=1:ngpus=1` and nothing else, beside `select=1:ncpus=8`.
fn one_node<'a>(line: &'a str, request: &str) -> Option<Vec<&'a str>> {
    let items = asked(line);
    let [item] = items[..] else { return None };
    let words: Vec<&str> = line.split_whitespace().collect();
    let alone = matches!(words[..], ["-l", _]) || matches!(words[..], [one] if one != "-l");
    let more = item.strip_prefix(request.split(':').next()?)?;
    let more = Some(more).filter(|more| more.is_empty() || more.starts_with(':'));
    let more = more.filter(|more| alone && !more.contains('+'))?;
    Some(more.split(':').filter(|part| !part.is_empty()).collect())
}

fn skips(options: &Options, list: &str) -> bool {
    options.skip.iter().any(|part| format!("#PBS -l {list}").contains(part.as_str()))
}

/// An attribute in the reply to `qstat -B -f`.
pub(super) fn attribute<'a>(reply: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = reply.lines().filter_map(|line| line.trim().split_once(" = "));
    Some(lines.find(|(key, _)| *key == name)?.1)
}

/// The last line that is a job's id and nothing else: `8.server`, `34[].server`, `108`. A login
/// banner may stand before it, and a word about the project's budget behind.
pub(super) fn job_id(stdout: &str) -> Option<&str> {
    let is_id = |line: &&str| {
        let Some((_, server)) = split_id(line) else { return false };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        server.is_empty()
            || (server.chars().all(plain) && server.contains(|c: char| c.is_ascii_alphabetic()))
    };
    stdout.lines().rev().map(str::trim).find(is_id)
}

/// `34[1].server`: the task 1 of `34[]`, and `server`; of `34[]`, no task.
pub(super) fn split_id(id: &str) -> Option<((String, Option<u32>), &str)> {
    let (id, server) = id.split_once('.').unwrap_or((id, ""));
    let (number, index) = match id.split_once('[') {
        Some((number, index)) => (number, Some(index.strip_suffix(']')?)),
        None => (id, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let task = match index {
        None | Some("") => None,
        Some(index) => Some(index.parse().ok().filter(|_| digits(index))?),
    };
    let job = if index.is_some() { format!("{number}[]") } else { number.to_owned() };
    digits(number).then_some(((job, task), server))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_as_dask_jobqueue_rounds_it() {
        let given = [
            "512MB", "4GB", "8GB", "16GB", "16G", "16GiB", "32GB", "64 gb", "500 GB", "1024",
            "10KiB", "10MiB", "10GiB",
        ];
        let wanted = [
            "489MB", "3815MB", "7630MB", "15GB", "15GB", "16GB", "30GB", "60GB", "466GB", "1024B",
            "10kB", "10MB", "10GB",
        ];
        let read = |text| memory(super::super::units::bytes(text).expect("an amount"));
        assert_eq!(given.map(read), wanted);
    }

    #[test]
    fn only_a_request_for_one_node_is_folded() {
        let fold = |lines: &[&str]| {
            let mut options = Options::default();
            options.extra = lines.iter().map(|line| (*line).to_owned()).collect();
            let folded = Resources::folded(&options, "select=1:ncpus=8:mem=15GB", Vec::new());
            (folded.lists.join(" "), folded.extra.len(), folded.doubled("").len())
        };
        let plain = "select=1:ncpus=8:mem=15GB".to_owned();
        assert_eq!(fold(&["-l select=1:ngpus=1"]), (format!("{plain}:ngpus=1"), 0, 0));
        assert_eq!(fold(&["-l  'select=1:ngpus=1'"]), (format!("{plain}:ngpus=1"), 0, 0));
        assert_eq!(fold(&["-lselect=1:ngpus=1:x=y"]), (format!("{plain}:ngpus=1:x=y"), 0, 0));
        let changed = "select=1:ncpus=4:mem=15GB:ngpus=1".to_owned();
        assert_eq!(fold(&["-l select=1:ncpus=4", "-l select=1:ngpus=1"]), (changed, 0, 0));
        for line in [
            "-l select=2:ngpus=1",
            "-l select=1:ngpus=1+1:mem=1gb",
            "-l select=ngpus=1",
            "-l select=1:ngpus=1,walltime=1:00:00",
            "-l select=1:ngpus=1 -q gpu",
            "-l select=16:ngpus=1",
        ] {
            assert_eq!(fold(&[line]), (plain.clone(), 1, 1), "{line}");
        }
        assert_eq!(fold(&["-l place=excl", "-q gpu"]), (plain, 2, 0));
    }

    #[test]
    fn ids_alone_on_their_line() {
        for (text, wanted) in [
            ("34[].pbshost\n", Some("34[].pbshost")),
            ("Welcome, 3 nodes down\n\n8.pbs-01.site.org\n", Some("8.pbs-01.site.org")),
            ("108\n", Some("108")),
            ("8.pbshost\nYou have 250.5 hours left\n", Some("8.pbshost")),
            ("2026.12.01\n", None),
            ("8 jobs\n", None),
            ("34[x].pbshost\n", None),
        ] {
            assert_eq!(job_id(text), wanted, "{text:?}");
        }
    }
}
