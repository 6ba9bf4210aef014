//! Whether a run can finish from wherever it is: the states from which the end cannot be reached.

use std::collections::HashMap;

use stateright::Model;

/// All states that can be reached, and how many of them cannot reach one that is an `end`.
pub(crate) struct Explored<S> {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// The first that was met of those from which no path leads to an end.
    pub(crate) stuck: Option<S>,
}

/// Forward to all states, then backward from the ends.
pub(crate) fn explore<M: Model>(model: &M, end: impl Fn(&M::State) -> bool) -> Explored<M::State>
where
    M::State: Clone + Eq + std::hash::Hash,
{
    let mut numbers: HashMap<M::State, usize> = HashMap::new();
    let mut states = Vec::new();
    let mut steps: Vec<(u32, u32)> = Vec::new();
    for state in model.init_states() {
        numbers.insert(state.clone(), states.len());
        states.push(state);
    }
    let mut at = 0;
    while at < states.len() {
        let state = states[at].clone();
        for next in model.next_states(&state) {
            let number = *numbers.entry(next).or_insert_with_key(|next| {
                states.push(next.clone());
                states.len() - 1
            });
            steps.push((number as u32, at as u32));
        }
        at += 1;
    }
    steps.sort_unstable();
    let mut reaches: Vec<bool> = states.iter().map(&end).collect();
    let mut todo: Vec<usize> = (0..states.len()).filter(|number| reaches[*number]).collect();
    while let Some(to) = todo.pop() {
        let first = steps.partition_point(|(target, _)| (*target as usize) < to);
        for (_, from) in steps[first..].iter().take_while(|(target, _)| *target as usize == to) {
            if !std::mem::replace(&mut reaches[*from as usize], true) {
                todo.push(*from as usize);
            }
        }
    }
    let stuck = reaches.iter().position(|reaches| !reaches).map(|number| states[number].clone());
    Explored { states: states.len(), steps: steps.len(), stuck }
}
