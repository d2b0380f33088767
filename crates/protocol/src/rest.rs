//! The bodies of REST calls that are no nouns of their own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::User;
use crate::json::{Field, Text};

/// `POST /api/register`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Register<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true)]
    pub name: Text<'a>,
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true)]
    pub email: Text<'a>,
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true)]
    pub password: Text<'a>,
}

/// `POST /api/login`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Login<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true)]
    pub email: Text<'a>,
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true)]
    pub password: Text<'a>,
}

/// `PUT /api/users/password`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct ChangePassword<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true)]
    pub password: Text<'a>,
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true)]
    pub new_password: Text<'a>,
}

/// `POST /api/chat/sessions` and `PATCH /api/chat/sessions/:id`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Title<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true)]
    pub title: Text<'a>,
}

/// `POST …/participants`: one of the two.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct AddParticipant<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub user_id: Text<'a>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    pub email: Text<'a>,
}

/// `POST …/read`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Read {
    #[serde(default)]
    #[schema(value_type = u64, required = true)]
    pub seq: Field<u64>,
}

/// `PATCH …/messages/:messageId`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Edit<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true)]
    pub content: Text<'a>,
}

/// The answer to register and login.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SignedIn {
    pub token: String,
    pub user: User,
}

/// The answer to a changed password.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    pub token: String,
}

/// The answer to `POST /api/token`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FreshToken {
    pub token: String,
    /// Seconds.
    pub expires_in: u64,
}

/// The answer to `POST /api/ws-tickets`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    pub ticket: String,
    /// Seconds.
    pub expires_in: u64,
}

/// `{"message": "..."}`: done, and nothing else to tell.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Done {
    pub message: String,
}

/// The answer to `POST …/read`: my read mark.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReadMark {
    pub seq: u64,
}
