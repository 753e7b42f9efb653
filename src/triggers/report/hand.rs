//! More is refused than is kept in hand.

use super::Report;

impl Report {
    /// Nothing is sent any more.
    pub(super) fn hand_full(&self) {
        self.log.error(
            "Nothing more is sent, as 20 000 events or 128 MiB of them are not accepted, and no other is \
             that would show that the reason is in them; or there is no room for more dead letters. All \
             are tried on and on, and nothing is lost. See what the intake, or a firewall on the way to \
             it, says to them, and have it accept them; or leave their rows out with `exclude_senders`, \
             and start the trigger again.",
        );
    }
}
