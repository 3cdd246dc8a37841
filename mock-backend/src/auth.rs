//! Who may do what: users, access tokens, and the one refresh token that a user has.
//! Refresh tokens live in memory alone, as in the deployed backend: a second login or a restart makes the
//! first one worthless.

use std::collections::HashMap;
use std::time::Duration;

use crate::jwt::{Claims, Key};
use crate::settings::User;
use crate::task::TaskId;

/// What login and refresh answer.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// Why someone was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("unknown user")]
    UnknownUser,
    #[error("wrong password")]
    WrongPassword,
    #[error("no bearer token")]
    NoToken,
    #[error("the access token is not one of mine")]
    BadToken,
    #[error("the access token has expired")]
    Expired,
    #[error("the refresh token has expired, was replaced, or was never mine")]
    BadRefreshToken,
    #[error("this needs the role ADMIN")]
    NotAdmin,
}

impl Denied {
    /// The status that the deployed backend answers with.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::UnknownUser => 400,
            Self::NotAdmin => 403,
            _ => 401,
        }
    }
}

/// The users and their tokens. All times are milliseconds since 1970 by the backend's clock.
pub(crate) struct Auth {
    users: HashMap<String, User>,
    access_lifetime: Duration,
    refresh_lifetime: Duration,
    access_key: Key,
    refresh_key: Key,
    /// The one refresh token of each user.
    refresh_tokens: HashMap<String, String>,
    /// When a token really expires: `exp` is in whole seconds, too coarse for a test's short lifetimes.
    ends: HashMap<String, u64>,
}

impl Auth {
    pub(crate) fn new(users: &[User], access_lifetime: Duration, refresh_lifetime: Duration) -> Self {
        Self {
            users: users.iter().map(|user| (user.name.clone(), user.clone())).collect(),
            access_lifetime,
            refresh_lifetime,
            access_key: Key::random(),
            refresh_key: Key::random(),
            refresh_tokens: HashMap::new(),
            ends: HashMap::new(),
        }
    }

    pub(crate) fn add_user(&mut self, user: User) {
        self.users.insert(user.name.clone(), user);
    }

    /// Name and password for tokens.
    pub(crate) fn login(&mut self, name: &str, password: &str, now: u64) -> Result<Tokens, Denied> {
        let user = self.users.get(name).ok_or(Denied::UnknownUser)?.clone();
        if user.password != password {
            return Err(Denied::WrongPassword);
        }
        Ok(self.issue(&user, now))
    }

    /// The user's refresh token for new tokens; the old one is worthless from then on.
    pub(crate) fn refresh(&mut self, token: &str, now: u64) -> Result<Tokens, Denied> {
        let claims = self.refresh_key.verify(token).ok_or(Denied::BadRefreshToken)?;
        let current = self.refresh_tokens.get(&claims.sub).is_some_and(|current| current == token);
        if !current || self.has_ended(token, &claims, now) {
            return Err(Denied::BadRefreshToken);
        }
        let user = self.users.get(&claims.sub).ok_or(Denied::BadRefreshToken)?.clone();
        Ok(self.issue(&user, now))
    }

    /// Whether this `Authorization` header opens the task routes.
    pub(crate) fn check(&self, header: Option<&str>, now: u64) -> Result<(), Denied> {
        let (scheme, token) = header.and_then(|header| header.split_once(' ')).ok_or(Denied::NoToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::NoToken);
        }
        let claims = self.access_key.verify(token.trim()).ok_or(Denied::BadToken)?;
        if self.has_ended(token.trim(), &claims, now) {
            return Err(Denied::Expired);
        }
        let admin = claims.roles.iter().any(|role| role == "ADMIN");
        if admin { Ok(()) } else { Err(Denied::NotAdmin) }
    }

    /// Every access token is invalid from now on. A new key, so that the same second's next token differs.
    pub(crate) fn expire_access_tokens(&mut self) {
        self.access_key = Key::random();
    }

    /// What a restart does: nobody's refresh token is known any more.
    pub(crate) fn forget_refresh_tokens(&mut self) {
        self.refresh_tokens.clear();
    }

    fn issue(&mut self, user: &User, now: u64) -> Tokens {
        let end =
            |lifetime: Duration| now.saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
        let (access_end, refresh_end) = (end(self.access_lifetime), end(self.refresh_lifetime));
        let claims = |end: u64| Claims {
            sub: user.name.clone(),
            exp: end / 1000,
            roles: vec![user.role.clone()],
            jti: None,
        };
        let access = self.access_key.sign(&claims(access_end));
        let refresh =
            self.refresh_key.sign(&Claims { jti: Some(TaskId::uuid().to_string()), ..claims(refresh_end) });
        self.ends.retain(|_, end| *end > now);
        self.ends.insert(access.clone(), access_end);
        self.ends.insert(refresh.clone(), refresh_end);
        self.refresh_tokens.insert(user.name.clone(), refresh.clone());
        Tokens { access, refresh }
    }

    fn has_ended(&self, token: &str, claims: &Claims, now: u64) -> bool {
        now >= self.ends.get(token).copied().unwrap_or(claims.exp.saturating_mul(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_250;

    fn auth() -> Auth {
        let users = [User::admin("dora", "secret"), User::admin("guest", "guest").role("USER")];
        Auth::new(&users, Duration::from_millis(700), Duration::from_secs(5))
    }

    fn check(auth: &Auth, tokens: &Tokens, now: u64) -> Result<(), Denied> {
        auth.check(Some(&format!("Bearer {}", tokens.access)), now)
    }

    #[test]
    fn each_way_to_be_denied_has_its_status() {
        let mut auth = auth();
        let denied = auth.login("nobody", "secret", NOW).unwrap_err();
        assert_eq!((denied, denied.status()), (Denied::UnknownUser, 400));
        let denied = auth.login("dora", "wrong", NOW).unwrap_err();
        assert_eq!((denied, denied.status()), (Denied::WrongPassword, 401));
        let guest = auth.login("guest", "guest", NOW).unwrap();
        let denied = check(&auth, &guest, NOW).unwrap_err();
        assert_eq!((denied, denied.status()), (Denied::NotAdmin, 403));
        for header in [None, Some("Bearer"), Some("Basic abc"), Some("Bearer abc")] {
            assert_eq!(auth.check(header, NOW).unwrap_err().status(), 401, "{header:?}");
        }
        // A refresh token is no access token.
        let refresh = format!("Bearer {}", guest.refresh);
        assert_eq!(auth.check(Some(&refresh), NOW), Err(Denied::BadToken));
    }

    #[test]
    fn an_access_token_ends_to_the_millisecond() {
        let mut auth = auth();
        let tokens = auth.login("dora", "secret", NOW).unwrap();
        assert_eq!(check(&auth, &tokens, NOW + 699), Ok(()));
        assert_eq!(check(&auth, &tokens, NOW + 700), Err(Denied::Expired));
    }

    #[test]
    fn a_refresh_rotates_and_a_second_login_replaces() {
        let mut auth = auth();
        let first = auth.login("dora", "secret", NOW).unwrap();
        let second = auth.refresh(&first.refresh, NOW).unwrap();
        assert_ne!(first.refresh, second.refresh, "rotated within the same second");
        assert_eq!(auth.refresh(&first.refresh, NOW).unwrap_err(), Denied::BadRefreshToken);
        let third = auth.login("dora", "secret", NOW).unwrap();
        assert_eq!(auth.refresh(&second.refresh, NOW).unwrap_err(), Denied::BadRefreshToken);
        assert_eq!(auth.refresh(&third.refresh, NOW + 5000).unwrap_err(), Denied::BadRefreshToken, "expired");
        assert!(auth.refresh(&third.refresh, NOW + 4999).is_ok());
    }

    #[test]
    fn a_restart_forgets_refresh_tokens_and_keeps_access_tokens() {
        let mut auth = auth();
        let tokens = auth.login("dora", "secret", NOW).unwrap();
        auth.forget_refresh_tokens();
        assert_eq!(check(&auth, &tokens, NOW), Ok(()));
        assert_eq!(auth.refresh(&tokens.refresh, NOW).unwrap_err(), Denied::BadRefreshToken);
    }

    #[test]
    fn expired_by_hand_and_a_new_login_in_the_same_second_works() {
        let mut auth = auth();
        let old = auth.login("dora", "secret", NOW).unwrap();
        auth.expire_access_tokens();
        assert_eq!(check(&auth, &old, NOW).unwrap_err().status(), 401);
        let new = auth.refresh(&old.refresh, NOW).unwrap();
        assert_eq!(check(&auth, &new, NOW), Ok(()));
    }
}
