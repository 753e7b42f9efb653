//! Users who give an application their name and password (the resource owner password grant).

use serde_json::{Value, json};

use super::{Denied, Form, Refusal};
use crate::{
    Account, Emulator,
    microsoft::accounts::{self, Unknown},
    settings::App,
};

/// The account that a request for a token is about.
pub(super) fn sign_in<'a>(
    emulator: &Emulator,
    accounts: &'a [Account],
    form: &Form,
) -> Result<&'a Account, Refusal> {
    let (name, password) = (form.required("username")?, form.required("password")?);
    match accounts::sign_in(emulator, accounts, name, password) {
        Err(Unknown::Name) => Err(Refusal(50_034)),
        Err(Unknown::Password) => Err(Refusal(50_126)),
        Ok(account) => match account.refused_with {
            Some(code) => Err(Refusal(code)),
            None => Ok(account),
        },
    }
}

/// What a token says about the user, and what the application may do in the user's name.
pub(super) fn claims(account: &Account, app: &App) -> Result<Value, Refusal> {
    if app.scopes.is_empty() {
        return Err(Refusal(65_001));
    }
    Ok(json!({
        "idtyp": "user",
        "upn": account.name,
        "scp": app.scopes.join(" "),
    }))
}

/// Checks that a user's token opens a service for the permission `role`.
pub(super) fn admit(
    emulator: &Emulator,
    claims: &Value,
    scopes: &str,
    role: &str,
) -> Result<(), Denied> {
    if !scopes.split(' ').any(|scope| scope == role) {
        return Err(Denied::NoRole);
    }
    let name = claims["upn"].as_str().unwrap_or_default();
    let accounts = emulator.settings().report.accounts;
    let mut accounts = accounts.iter();
    match accounts.find(|account| account.name.eq_ignore_ascii_case(name)) {
        Some(account) if account.exchange_role => Ok(()),
        _ => Err(Denied::NoExchangeRole),
    }
}
