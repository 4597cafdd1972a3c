extension Schema {
    static let account: StaticString = """
        -- A person or service account. Names are compared by `name_key`; callers keep it unique on one box, but two boxes that were apart may
        -- both have given one away, so the table must be able to hold both. `stamp` = order of the entry that wrote the row.
        CREATE TABLE user (
          id          BLOB NOT NULL PRIMARY KEY,
          name        TEXT NOT NULL,
          name_key    TEXT NOT NULL,
          display     TEXT NOT NULL,
          role        INTEGER NOT NULL,
          is_locked   INTEGER NOT NULL,
          password    TEXT NOT NULL,
          created_ms  INTEGER NOT NULL,
          stamp       BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX user_name_key ON user (name_key);

        -- A signed-in client of a user: the SHA-256 of its token, never the token.
        CREATE TABLE device (
          id         BLOB NOT NULL PRIMARY KEY,
          user       BLOB NOT NULL,
          token_hash BLOB NOT NULL,
          name       TEXT NOT NULL,
          created_ms INTEGER NOT NULL,
          expires_ms INTEGER NOT NULL,
          is_revoked INTEGER NOT NULL,
          stamp      BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX device_token_hash ON device (token_hash);
        CREATE INDEX device_user ON device (user, created_ms);

        -- A link that lets somebody in. `purpose` 0 = the first claim, 1 = a new user with `role`, 2 = a new password for `target`.
        CREATE TABLE invite (
          id         BLOB NOT NULL PRIMARY KEY,
          token_hash BLOB NOT NULL,
          purpose    INTEGER NOT NULL,
          role       INTEGER,
          target     BLOB,
          uses       INTEGER NOT NULL,
          used       INTEGER NOT NULL,
          created_by BLOB,
          created_ms INTEGER NOT NULL,
          expires_ms INTEGER NOT NULL,
          is_revoked INTEGER NOT NULL,
          stamp      BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX invite_token_hash ON invite (token_hash);
        CREATE INDEX invite_expires ON invite (expires_ms);

        -- A user's wish not to hear from another; taken back, it stays with is_on = 0 so that an older entry cannot bring it back.
        CREATE TABLE block (
          owner  BLOB NOT NULL,
          target BLOB NOT NULL,
          is_on  INTEGER NOT NULL,
          stamp  BLOB NOT NULL,
          PRIMARY KEY (owner, target)
        ) STRICT, WITHOUT ROWID;
        """
}
