//! Operators and roles.

use muster_domain::{
    Code, Refusal,
    access::{Operator, Role},
};
use muster_proto::v1;

pub(crate) fn role(wire: i32) -> Result<Role, Refusal> {
    use v1::operator::Role as Wire;
    match Wire::try_from(wire) {
        Ok(Wire::Admin) => Ok(Role::Admin),
        Ok(Wire::Operator) => Ok(Role::Operator),
        Ok(Wire::Approver) => Ok(Role::Approver),
        Ok(Wire::Viewer) => Ok(Role::Viewer),
        Ok(Wire::Integrator) => Ok(Role::Integrator),
        Ok(Wire::Unspecified) | Err(_) => Err(Refusal::new(Code::RequestInvalid, "names no role").at("role")),
    }
}

pub(crate) fn operator(operator: &Operator) -> v1::Operator {
    use v1::operator::Role as Wire;
    let role = match operator.role {
        Role::Admin => Wire::Admin,
        Role::Operator => Wire::Operator,
        Role::Approver => Wire::Approver,
        Role::Viewer => Wire::Viewer,
        Role::Integrator => Wire::Integrator,
    };
    v1::Operator {
        name: format!("operators/{}", operator.name),
        role: role.into(),
        enabled: operator.enabled,
        key: operator.key.0.to_vec(),
    }
}
