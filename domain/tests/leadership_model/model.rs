//! The model: what stateright walks.

use crate::bounds::Bounds;
use crate::database::Database;
use crate::deviation::Guards;
use crate::owner::Place;
use crate::process::{Process, Standing};
use crate::property::properties;
use crate::step::Step;
use stateright::{Model, Property};

/// The protocol with these guards, within these bounds.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    pub guards: Guards,
    pub bounds: Bounds,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub database: Database,
    pub processes: Vec<Process>,
    pub crashes_left: u8,
    pub failovers_left: u8,
}

impl State {
    /// The process stands so from here on.
    pub fn stand(&mut self, place: Place, standing: Standing) {
        self.processes[place.0].standing = standing;
    }

    /// The process stands so, by what it just read from this primary.
    pub fn learn(&mut self, place: Place, standing: Standing) {
        self.processes[place.0].learned_at = self.failovers_left;
        self.stand(place, standing);
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let process = Process {
            life: 0,
            standing: Standing::Candidate,
            learned_at: self.bounds.failovers,
        };
        vec![State {
            database: Database::new(),
            processes: vec![process; self.bounds.candidates],
            crashes_left: self.bounds.crashes,
            failovers_left: self.bounds.failovers,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        self.steps(state, actions);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        self.take(state, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }
}
