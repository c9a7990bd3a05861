//! The resource that a command is about.

use crate::env::Environment;
use crate::failure::Failure;
use crate::pacemaker::resources::{self, Unclear};
use crate::pacemaker::tools::Tools;
use crate::pacemaker::{PacemakerError, parameters};

use super::Needs;

/// The resource, and the environment with the parameters that the cluster has for it, as Pacemaker would pass them. `asked` is what
/// a person calls it; nothing where the cluster has only one.
///
/// # Errors
///
/// When there is none, or it is not clear which, or the cluster does not answer.
pub fn find(
    asked: Option<&str>,
    needs: Needs,
    environment: &Environment,
    tools: &Tools,
) -> Result<(String, Environment), Failure> {
    // A caller that has passed some has passed all: an action of Pacemaker does, and the background process that it starts.
    if let Some(asked) = asked.filter(|_| environment.has_parameters()) {
        return Ok((asked.to_owned(), environment.clone()));
    }
    let xml = tools.query_resources().map_err(PacemakerError::from)?;
    let primitives = resources::primitives(&xml).map_err(|why| PacemakerError::Output { tool: "cibadmin", why })?;
    let resource = match (resources::find(&primitives, asked), asked) {
        (Ok(resource), _) => resource,
        (Err(Unclear::Unknown(_)), Some(asked)) if needs == Needs::Nothing => asked.to_owned(),
        (Err(Unclear::Unknown(known) | Unclear::Foreign(known)), Some(asked)) => {
            return Err(Failure::NoSuchResource { name: asked.to_owned(), known });
        }
        (Err(Unclear::Unknown(known) | Unclear::Foreign(known) | Unclear::Several(known)), _) => {
            return Err(Failure::WhichResource(known));
        }
    };
    let parameters = parameters::parameters(&xml, &resource)?.unwrap_or_default();
    let environment = parameters.into_iter().fold(environment.clone(), |environment, (name, value)| {
        environment.with(&format!("OCF_RESKEY_{name}"), value.as_ref())
    });
    Ok((resource, environment))
}
