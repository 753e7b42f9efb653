//! Invented people, subjects and addresses.

use std::sync::LazyLock;

use super::draw::{Draw, mix};

/// The organization whose tenant is emulated.
pub(crate) const ORGANIZATION: &str = "contoso.onmicrosoft.com";

/// People that mail is sent to; a prime, so that every stride visits all.
const PEOPLE: u64 = 10_007;

const FIRST: [&str; 24] = [
    "ada", "bruno", "chloe", "dmitri", "elena", "farid", "grace", "hugo", "ines", "jonas", "karim",
    "lea", "marta", "nadia", "oscar", "priya", "quentin", "rosa", "samir", "tomas", "ulla", "vera",
    "wei", "zoe",
];
const LAST: [&str; 20] = [
    "abbott", "bernard", "castillo", "dupont", "eriksen", "fischer", "garnier", "haddad",
    "ivanova", "jensen", "kowalski", "laurent", "moreau", "nguyen", "o'neil", "petit", "rossi",
    "schmidt", "tanaka", "weber",
];
const HOME: [&str; 3] = [
    "contoso.example",
    "eu.contoso.example",
    "contoso.onmicrosoft.com",
];
const AWAY: [&str; 5] = [
    "fabrikam.example",
    "northwind.example",
    "mail.tailspin.example",
    "newsletter.litware.example",
    "xn--bcher-kva.example",
];
const SUBJECTS: [&str; 22] = [
    "Invoice {n}",
    "RE: Meeting on Tuesday",
    "FW: Quarterly report Q{d}",
    "Your order #{n} has been shipped",
    "Réunion d'équipe reportée à {d}h",
    "Überweisung über {n} €",
    "\"Urgent\": please read",
    "会議の議事録 ({n})",
    "Отчёт за неделю {d}",
    "تقرير المبيعات {n}",
    "🎉 You have won {n} points!",
    "Backup \\\\server{d}\\share finished",
    "[EXTERNAL] Password expires in {d} days",
    "Re: Re: Re: contract & annex <draft {d}>",
    "/Date({n})/ is not a date",
    "Tab\there and a 100% 'discount'",
    "{\"ticket\":{n},\"state\":\"open\"}",
    "Newsletter n° {n}",
    "",
    "Déjà vu: e\u{301} and é, zero\u{200b}width",
    "Undeliverable: Invoice {n}",
    "RE: FW: project \u{2028}line separator {d}",
];

/// Everybody, ordered by address.
static DIRECTORY: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut people: Vec<String> = (0..PEOPLE)
        .map(|number| {
            let mut draw = Draw::new(mix(0x9e0_b1e5, number));
            let home = draw.chance(0.7);
            let domain = draw.pick(if home { &HOME[..] } else { &AWAY[..] });
            format!(
                "{}.{}{number}@{domain}",
                draw.pick(&FIRST),
                draw.pick(&LAST)
            )
        })
        .collect();
    people.sort_unstable();
    people
});

/// How many different recipients there are.
pub(crate) fn people() -> u32 {
    PEOPLE as u32
}

/// The address of the person with this number; higher numbers have greater addresses.
pub(crate) fn address(number: u32) -> &'static str {
    &DIRECTORY[number as usize]
}

/// The number of the person with this address.
pub(crate) fn number(address: &str) -> Option<u32> {
    let address = address.to_lowercase();
    DIRECTORY
        .binary_search(&address)
        .ok()
        .map(|number| number as u32)
}

pub(crate) fn sender(draw: &mut Draw) -> String {
    if draw.chance(0.5) {
        return address(draw.below(PEOPLE) as u32).to_owned();
    }
    let number = draw.below(100_000);
    match draw.below(20) {
        0 => format!("bounce+{number:x}=user@{}", draw.pick(&AWAY)),
        1 => String::from("<>"),
        2 => format!("No-Reply@{}", draw.pick(&AWAY)),
        _ => format!(
            "{}.{}{number}@{}",
            draw.pick(&FIRST),
            draw.pick(&LAST),
            draw.pick(&AWAY)
        ),
    }
}

/// None for a message without a subject.
pub(crate) fn subject(draw: &mut Draw) -> Option<String> {
    if draw.chance(0.02) {
        return None;
    }
    let number = draw.below(1_000_000).to_string();
    let digit = draw.below(9).to_string();
    Some(
        draw.pick(&SUBJECTS)
            .replace("{n}", &number)
            .replace("{d}", &digit),
    )
}

/// None for a message without an id.
pub(crate) fn message_id(draw: &mut Draw) -> Option<String> {
    let (left, right) = (draw.next(), draw.next());
    let host = draw.pick(&AWAY);
    (!draw.chance(0.01)).then(|| format!("<{left:016x}{right:08X}@{host}>"))
}

/// None where the service knows no address.
pub(crate) fn ip(draw: &mut Draw, unknown: f64) -> Option<String> {
    if draw.chance(unknown) {
        return None;
    }
    let host = draw.below(65_536);
    Some(if draw.chance(0.15) {
        format!("2001:db8:{:x}::{host:x}", draw.below(4096))
    } else {
        let net = draw.pick(&["192.0.2", "198.51.100", "203.0.113"]);
        format!("{net}.{}", host % 256)
    })
}

/// Bytes of a message: most are small, some are large.
pub(crate) fn size(draw: &mut Draw) -> u32 {
    let exponent = 2000.0_f64.ln() + draw.unit().powi(2) * 9.0;
    exponent.exp() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_by_address_without_regard_to_case() {
        for person in [0, 1, 5000, people() - 1] {
            assert_eq!(number(&address(person).to_uppercase()), Some(person));
        }
        assert_eq!(number("nobody@contoso.example"), None);
        assert!(address(7) < address(8));
    }
}
