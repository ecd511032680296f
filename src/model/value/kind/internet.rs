//! E-mail and web addresses, by the rules that mail and web servers follow rather than all that the RFCs allow.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Checked, ensure};

/// Longest address that mail servers take (RFC 5321, 4.5.3.1, with erratum 1690), in bytes.
const MOST_EMAIL_BYTES: usize = 254;
/// Longest part before the `@` (RFC 5321, 4.5.3.1.1), in bytes.
const MOST_LOCAL_BYTES: usize = 64;
/// Longest part of a domain between two dots (RFC 1035, 2.3.4), in bytes.
const MOST_LABEL_BYTES: usize = 63;

/// An e-mail address: an atom with dots, and a domain with at least one dot.
pub(super) fn email(text: &str) -> Checked {
    let good = is_common_email(text.as_bytes()) || is_email(text);
    ensure(good, "is not an e-mail address like name@example.com")
}

/// What most addresses are made of, without a branch a byte; an address that is not common may still be one. This is the
/// check that costs most in files of millions of customers.
fn is_common_email(bytes: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'@', bytes) else { return false };
    let (local, domain) = (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default());
    let Some(dot) = memchr::memrchr(b'.', domain) else { return false };
    let last = domain.get(dot + 1..).unwrap_or_default();
    (1..=MOST_LOCAL_BYTES).contains(&local.len())
        && domain.len() <= MOST_LABEL_BYTES
        && last.len() >= 2
        && is_joined(local, LOCAL, LOCAL_JOINT)
        && is_joined(domain, DOMAIN, DOMAIN_JOINT)
        && last.iter().any(u8::is_ascii_alphabetic)
}

/// May stand before the `@`.
const LOCAL: u8 = 1;
/// Stands between two parts before the `@`, never at an end or twice.
const LOCAL_JOINT: u8 = 2;
/// May stand behind the `@`.
const DOMAIN: u8 = 4;
/// Stands between two parts behind the `@`, never at an end or twice.
const DOMAIN_JOINT: u8 = 8;

/// What each byte may be.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'.' => LOCAL | LOCAL_JOINT | DOMAIN | DOMAIN_JOINT,
            b'-' => LOCAL | DOMAIN | DOMAIN_JOINT,
            b'_' | b'+' => LOCAL,
            _ if byte.is_ascii_alphanumeric() => LOCAL | DOMAIN,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// True when all bytes are of the class `allowed`, and none of the class `joint` is first, last or beside another.
fn is_joined(bytes: &[u8], allowed: u8, joint: u8) -> bool {
    let (mut all, mut clash, mut before) = (allowed, 0, joint);
    for byte in bytes {
        let class = CLASSES[*byte as usize];
        all &= class;
        clash |= before & class;
        before = class;
    }
    all & allowed != 0 && (clash | before) & joint == 0
}

fn is_email(text: &str) -> bool {
    let parts = text.split_once('@').filter(|_| text.len() <= MOST_EMAIL_BYTES);
    parts.is_some_and(|(local, domain)| {
        let last = domain.rsplit_once('.').map_or("", |(_, last)| last);
        is_local_part(local)
            && domain.split('.').all(is_label)
            && last.len() >= 2
            && !last.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_local_part(local: &str) -> bool {
    (1..=MOST_LOCAL_BYTES).contains(&local.len())
        && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_character))
}

/// `atext` of RFC 5322, and letters beyond ASCII (RFC 6531).
fn is_atom_character(c: char) -> bool {
    is_word(c) || matches!(c, '!' | '#'..='\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^'..='`' | '{'..='~')
}

/// A part of a domain: letters, digits, and hyphens inside.
fn is_label(label: &str) -> bool {
    (1..=MOST_LABEL_BYTES).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| is_word(c) || c == '-')
}

/// A letter or digit; of other scripts too, also when its accent is a character of its own.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || (!c.is_ascii() && (c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36f}')))
}

/// A web address with scheme and host.
pub(super) fn url(text: &str) -> Checked {
    let good = text.split_once("://").is_some_and(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        ["http", "https", "ftp"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
            && is_host_and_port(host_and_port)
            && !rest.contains(is_never_in_address)
    });
    ensure(good, "is not a web address like https://example.com/page")
}

/// What RFC 3986 leaves out and browsers never send: white space, controls, quotes, brackets of templates and tags.
fn is_never_in_address(c: char) -> bool {
    matches!(c, '\0'..=' ' | '"' | '<' | '>' | '\\' | '`' | '{' | '}' | '\u{7f}')
        || (!c.is_ascii() && (c.is_whitespace() || c.is_control()))
}

fn is_host_and_port(text: &str) -> bool {
    let (is_host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_host(host), port)
        }
    };
    let good_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(good_port))
}

fn is_host(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_the_quick_check_takes_the_careful_one_takes_too(text in "[a-c0-2.@_+-]{1,4}@[a-c0-2.@-]{1,9}") {
            prop_assert!(!is_common_email(text.as_bytes()) || is_email(&text), "{}", text);
        }
    }

    #[test]
    fn ordinary_addresses_take_the_quick_check() {
        for text in ["anna.adams17@example.com", "first.last+tag@corp.example.co.uk", "a_b-c@x-y.de"] {
            assert!(is_common_email(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn addresses_that_mail_servers_take_are_accepted() {
        for text in [
            "a@b.co",
            "first.last+tag@sub.example.com",
            "o'brien_{x}@example.org",
            "123@456.com",
            "a@xn--mller-kva.de",
            "jörg@müller.de",
            "mu\u{308}ller@example.com",
            "用户@例子.中国",
            "a@b-c.d-e.info",
        ] {
            assert_eq!(email(text), Ok(()), "{text}");
        }
        assert!(email(&format!("{}@example.com", "a".repeat(64))).is_ok());
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b.com",
            "a.at.b.com",
            "a@@b.com",
            "a@b@c.com",
            "a @ b.com",
            "a b@c.com",
            "a@b",
            "a@b.",
            "a@.com",
            "a@b..com",
            ".a@b.com",
            "a.@b.com",
            "a..b@c.com",
            "a@-b.com",
            "a@b-.com",
            "a@b.com-",
            "a@b_c.com",
            "a@b.c",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "\"a b\"@c.com",
            "a@b.com>",
            "<a@b.com>",
            "mailto:a@b.com",
            "a@b.com, c@d.com",
            "a@b.com;c@d.com",
            "a\u{a0}b@c.com",
            "a\u{200b}@c.com",
            "a€@c.com",
        ] {
            assert!(email(text).is_err(), "{text}");
        }
        assert!(email(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(email(&format!("a@{}.com", "b".repeat(64))).is_err());
        assert!(email(&format!("a@{}.com", vec!["b".repeat(62); 4].join("."))).is_err());
    }

    #[test]
    fn the_characters_of_an_atom_are_those_of_the_standard() {
        let atoms: String = ('!'..='~').filter(|c| is_atom_character(*c) && !c.is_alphanumeric()).collect();
        assert_eq!(atoms, "!#$%&'*+-/=?^_`{|}~");
    }

    #[test]
    fn web_addresses_have_a_scheme_and_a_host() {
        for text in [
            "http://example.com",
            "HTTPS://Example.com:8443/a/b?c=d&e=%20#f",
            "https://user:secret@example.com/",
            "http://intranet/page",
            "http://192.168.0.1:80/",
            "http://[2001:db8::1]:8080/x",
            "ftp://ftp.example.com/file.csv",
            "https://müller.de/straße?q=a|b",
            "https://example.com?x=a@b:c",
        ] {
            assert_eq!(url(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "example.com",
            "www.example.com",
            "//example.com",
            "htp://example.com",
            "mailto:a@b.com",
            "javascript://example.com",
            "http://",
            "http:///path",
            "http:// example.com",
            "http://exa mple.com",
            "http://example.com/a b",
            "http://example..com",
            "http://-example.com",
            "http://example.com:",
            "http://example.com:0",
            "http://example.com:65536",
            "http://example.com:+80",
            "http://a:b:80",
            "http://1.2.3",
            "http://999.1.1.1",
            "http://[::1",
            "http://[zz]",
            "http://example.com/<id>",
            "http://example.com/{id}",
            "http://user@/",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
