//! Authentication and authorization: users, access tokens, and one refresh token for each user.
//! Refresh tokens are kept in memory only, as in the deployed backend: a second login or a restart invalidates them.

use std::collections::HashMap;
use std::time::Duration;

use crate::jwt::{Claims, Key};
use crate::settings::User;
use crate::task::TaskId;

/// The tokens that login and refresh return.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// Reason for denying a login, a refresh or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("unknown user")]
    UnknownUser,
    #[error("wrong password")]
    WrongPassword,
    #[error("no bearer token")]
    NoToken,
    #[error("the access token is invalid")]
    BadToken,
    #[error("the access token has expired")]
    Expired,
    #[error("the refresh token is invalid, expired or replaced")]
    BadRefreshToken,
    #[error("the role ADMIN is required")]
    NotAdmin,
}

impl Denied {
    /// The response status of the deployed backend.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::UnknownUser => 400,
            Self::NotAdmin => 403,
            _ => 401,
        }
    }
}

/// The users and their tokens. All times are milliseconds since the Unix epoch, by the backend's clock.
pub(crate) struct Auth {
    users: HashMap<String, User>,
    access_lifetime: Duration,
    refresh_lifetime: Duration,
    access_key: Key,
    refresh_key: Key,
    /// The valid refresh token of each user, by name.
    refresh_tokens: HashMap<String, String>,
    /// Exact expiry of each token: `exp` is in whole seconds, which is too coarse for the short lifetimes of tests.
    expiries: HashMap<String, u64>,
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
            expiries: HashMap::new(),
        }
    }

    pub(crate) fn add_user(&mut self, user: User) {
        self.users.insert(user.name.clone(), user);
    }

    /// Exchanges name and password for tokens.
    ///
    /// # Errors
    /// [`Denied::UnknownUser`] or [`Denied::WrongPassword`].
    pub(crate) fn login(&mut self, name: &str, password: &str, now: u64) -> Result<Tokens, Denied> {
        let user = self.users.get(name).ok_or(Denied::UnknownUser)?.clone();
        if user.password != password {
            return Err(Denied::WrongPassword);
        }
        Ok(self.issue(&user, now))
    }

    /// Exchanges the user's refresh token for new tokens, which invalidates it.
    ///
    /// # Errors
    /// [`Denied::BadRefreshToken`] if the token is not the latest one of its user, or has expired.
    pub(crate) fn refresh(&mut self, token: &str, now: u64) -> Result<Tokens, Denied> {
        let claims = self.refresh_key.verify(token).ok_or(Denied::BadRefreshToken)?;
        let current = self.refresh_tokens.get(&claims.sub).is_some_and(|current| current == token);
        if !current || self.has_expired(token, &claims, now) {
            return Err(Denied::BadRefreshToken);
        }
        let user = self.users.get(&claims.sub).ok_or(Denied::BadRefreshToken)?.clone();
        Ok(self.issue(&user, now))
    }

    /// Checks the `Authorization` header of a task route.
    ///
    /// # Errors
    /// [`Denied::NoToken`], [`Denied::BadToken`], [`Denied::Expired`] or [`Denied::NotAdmin`].
    pub(crate) fn check(&self, header: Option<&str>, now: u64) -> Result<(), Denied> {
        let (scheme, token) = header.and_then(|header| header.split_once(' ')).ok_or(Denied::NoToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::NoToken);
        }
        let claims = self.access_key.verify(token.trim()).ok_or(Denied::BadToken)?;
        if self.has_expired(token.trim(), &claims, now) {
            return Err(Denied::Expired);
        }
        let admin = claims.roles.iter().any(|role| role == "ADMIN");
        if admin { Ok(()) } else { Err(Denied::NotAdmin) }
    }

    /// Invalidates every access token by replacing the key, so that a token issued within the same second differs.
    pub(crate) fn expire_access_tokens(&mut self) {
        self.access_key = Key::random();
    }

    /// Invalidates every refresh token, as a restart does.
    pub(crate) fn forget_refresh_tokens(&mut self) {
        self.refresh_tokens.clear();
    }

    fn issue(&mut self, user: &User, now: u64) -> Tokens {
        let expiry =
            |lifetime: Duration| now.saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
        let (access_expiry, refresh_expiry) = (expiry(self.access_lifetime), expiry(self.refresh_lifetime));
        let claims = |expiry: u64| Claims {
            sub: user.name.clone(),
            exp: expiry / 1000,
            roles: vec![user.role.clone()],
            jti: None,
        };
        let access = self.access_key.sign(&claims(access_expiry));
        let refresh_claims = Claims { jti: Some(TaskId::uuid().to_string()), ..claims(refresh_expiry) };
        let refresh = self.refresh_key.sign(&refresh_claims);
        self.expiries.retain(|_, expiry| *expiry > now);
        self.expiries.insert(access.clone(), access_expiry);
        self.expiries.insert(refresh.clone(), refresh_expiry);
        self.refresh_tokens.insert(user.name.clone(), refresh.clone());
        Tokens { access, refresh }
    }

    fn has_expired(&self, token: &str, claims: &Claims, now: u64) -> bool {
        now >= self.expiries.get(token).copied().unwrap_or(claims.exp.saturating_mul(1000))
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
    fn each_denial_has_its_status() {
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
        // A refresh token does not work as an access token.
        let refresh = format!("Bearer {}", guest.refresh);
        assert_eq!(auth.check(Some(&refresh), NOW), Err(Denied::BadToken));
    }

    #[test]
    fn access_token_expires_to_the_millisecond() {
        let mut auth = auth();
        let tokens = auth.login("dora", "secret", NOW).unwrap();
        assert_eq!(check(&auth, &tokens, NOW + 699), Ok(()));
        assert_eq!(check(&auth, &tokens, NOW + 700), Err(Denied::Expired));
    }

    #[test]
    fn refresh_and_second_login_replace_refresh_token() {
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
    fn forgetting_refresh_tokens_keeps_access_tokens() {
        let mut auth = auth();
        let tokens = auth.login("dora", "secret", NOW).unwrap();
        auth.forget_refresh_tokens();
        assert_eq!(check(&auth, &tokens, NOW), Ok(()));
        assert_eq!(auth.refresh(&tokens.refresh, NOW).unwrap_err(), Denied::BadRefreshToken);
    }

    #[test]
    fn refresh_after_expiry_works_within_same_second() {
        let mut auth = auth();
        let old = auth.login("dora", "secret", NOW).unwrap();
        auth.expire_access_tokens();
        assert_eq!(check(&auth, &old, NOW).unwrap_err().status(), 401);
        let new = auth.refresh(&old.refresh, NOW).unwrap();
        assert_eq!(check(&auth, &new, NOW), Ok(()));
    }
}
