"""Log-in and users."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, SecretStr, computed_field

from services.bot_registry import passwords
from services.bot_registry.http.fields import Email, Page, PageQuery, cut
from services.bot_registry.store import Taken, users
from shared.clock import Clock
from shared.db.database import Database
from shared.web.auth import Identity, Role, TokenIssuer
from shared.web.problems import Problem
from shared.web.routes import Access, Call, Nothing, Request, Route


class LogIn(Request):
    """Who wants in."""

    email: Email
    password: SecretStr = Field(max_length=1_000)


class AccessToken(BaseModel):
    """What proves who is calling, for `expires_in` seconds."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - a kind, not a secret
    expires_in: int


class NewUser(Request):
    """A user to be."""

    email: Email
    password: SecretStr = Field(min_length=8, max_length=1_000)
    role: Role


class UserCreated(BaseModel):
    """The new user."""

    user_id: UUID


class User(BaseModel):
    """A user."""

    id: UUID
    email: str
    role: Role
    created_at: AwareDatetime

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def user_id(self) -> UUID:
        """The id, by the name that making it answered with."""
        return self.id


@dataclass(frozen=True, slots=True)
class UserRoutes:
    """Log-in and users."""

    database: Database
    clock: Clock
    issuer: TokenIssuer

    def routes(self) -> list[Route]:
        """What can be asked here."""
        page = Page[User]
        anyone, admin = Access.ANYONE, Access.ADMIN
        return [
            Route("POST", "/api/v1/auth/login", self.log_in, "Log in", anyone, LogIn, answer=AccessToken, tag="users"),
            Route("GET", "/api/v1/users/me", self.me, "Who am I", answer=User, tag="users"),
            Route("GET", "/api/v1/users", self.page, "Users", admin, query=PageQuery, answer=page, tag="users"),
            Route(
                "POST",
                "/api/v1/users",
                self.create,
                "Create a user",
                admin,
                NewUser,
                Nothing,
                UserCreated,
                201,
                "users",
            ),
        ]

    async def log_in(self, call: Call[LogIn, Nothing]) -> AccessToken:
        """401 `wrong_credentials` says the same, after the same work, for a wrong password and an unknown user."""
        async with self.database.transaction() as tx:
            user = await users.by_email(tx.connection, call.body.email)
        right = await passwords.matches(call.body.password, user["password_hash"] if user else None)
        if user is None or not right:
            raise Problem(401, "wrong_credentials", "E-mail and password do not match.")
        token = self.issuer.issue(Identity(user["id"], Role(user["role"])), self.clock.now())
        return AccessToken(access_token=token, expires_in=int(self.issuer.lifetime.total_seconds()))

    async def me(self, call: Call[Nothing, Nothing]) -> User:
        """The caller. A token may outlive the database that it came from: then it is worth nothing."""
        async with self.database.transaction() as tx:
            user = await users.by_id(tx.connection, call.user.user_id)
        if user is None:
            raise Problem(401, "not_authenticated", "This user is no more; log in again.")
        return User.model_validate(dict(user))

    async def page(self, call: Call[Nothing, PageQuery]) -> Page[User]:
        """All users."""
        async with self.database.transaction() as tx:
            found = await users.page(tx.connection, call.query.limit, call.query.cursor)
        rows, next_cursor = cut(found, call.query.limit)
        return Page(items=[User.model_validate(dict(row)) for row in rows], next_cursor=next_cursor)

    async def create(self, call: Call[NewUser, Nothing]) -> UserCreated:
        """A new user; 409 `email_taken`."""
        hashed = await passwords.hash_of(call.body.password)
        try:
            async with self.database.transaction() as tx:
                user_id = await users.add(tx.connection, call.body.email, hashed, call.body.role, self.clock.now())
        except Taken:
            raise Problem(409, "email_taken", "A user with this e-mail exists.", field="email") from None
        return UserCreated(user_id=user_id)
