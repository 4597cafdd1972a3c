extension Schema {
    static let chat: StaticString = """
        -- A direct conversation (form 1) or a group (form 2).
        CREATE TABLE conversation (
          id         BLOB NOT NULL PRIMARY KEY,
          form       INTEGER NOT NULL,
          title      TEXT NOT NULL,
          created_ms INTEGER NOT NULL,
          stamp      BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;

        -- How a user stands to a conversation: 0 invited, 1 member, 2 left, 3 kicked, 4 banned. `since`: sees what is ordered after this.
        CREATE TABLE membership (
          conv  BLOB NOT NULL,
          user  BLOB NOT NULL,
          state INTEGER NOT NULL,
          role  INTEGER NOT NULL,
          since BLOB,
          stamp BLOB NOT NULL,
          PRIMARY KEY (conv, user)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX membership_user ON membership (user, conv) WHERE state = 1;

        -- Where each message stands: in its conversation by `ord` (34 bytes that sort as the order does), in the log by `pos`. What it says is
        -- in the entry. `changed`: an edit, recall or reaction may exist.
        CREATE TABLE message (
          conv    BLOB NOT NULL,
          ord     BLOB NOT NULL,
          mid     BLOB NOT NULL,
          sender  BLOB NOT NULL,
          pos     INTEGER NOT NULL,
          changed INTEGER NOT NULL,
          PRIMARY KEY (conv, ord)
        ) STRICT, WITHOUT ROWID;
        -- A message exists once, whatever boxes and reconnects send.
        CREATE UNIQUE INDEX message_mid ON message (mid);

        -- The text that replaced the one sent; the last edit wins.
        CREATE TABLE message_edit (
          mid     BLOB NOT NULL PRIMARY KEY,
          by_user BLOB NOT NULL,
          text    TEXT NOT NULL,
          stamp   BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;

        -- Messages taken back.
        CREATE TABLE message_recall (
          mid     BLOB NOT NULL PRIMARY KEY,
          by_user BLOB NOT NULL,
          stamp   BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;

        -- One user's one emoji on one message; is_on = 0 when taken back.
        CREATE TABLE reaction (
          mid   BLOB NOT NULL,
          user  BLOB NOT NULL,
          emoji TEXT NOT NULL,
          is_on INTEGER NOT NULL,
          stamp BLOB NOT NULL,
          PRIMARY KEY (mid, user, emoji)
        ) STRICT, WITHOUT ROWID;

        -- How far a member has received and read.
        CREATE TABLE receipt (
          conv     BLOB NOT NULL,
          user     BLOB NOT NULL,
          received BLOB,
          read     BLOB,
          PRIMARY KEY (conv, user)
        ) STRICT, WITHOUT ROWID;
        """
}
