//! The users of the tenant, whom both the Reporting Web Service and the identity platform ask for
//! their passwords.

use chrono::{DateTime, Utc};

use crate::{Account, Emulator};

/// Why somebody is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// There is no such account.
    Name,
    /// It has another password.
    Password,
}

/// The account with this name and password. What is refused is noted.
pub(super) fn sign_in<'a>(
    emulator: &Emulator,
    accounts: &'a [Account],
    name: &str,
    password: &str,
) -> Result<&'a Account, Unknown> {
    let mut named = accounts.iter();
    let named = named.find(|account| account.name.eq_ignore_ascii_case(name));
    let found = match named {
        None => Err(Unknown::Name),
        Some(account) if account.password.expose() != password => Err(Unknown::Password),
        Some(account) => Ok(account),
    };
    if found.is_err() {
        let now = emulator.clock().now();
        emulator.world().refused_passwords.push(now);
    }
    found
}

impl Emulator {
    /// When a name and password were refused, by either service: what locks accounts.
    pub fn refused_passwords(&self) -> Vec<DateTime<Utc>> {
        self.world().refused_passwords.clone()
    }
}
