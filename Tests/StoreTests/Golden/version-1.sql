-- The database as version 1 of its form made it, with a row or two in the main tables. It never changes again: whoever has such a
-- file must be able to start every later Skerry on it.
PRAGMA page_size = 4096;
PRAGMA auto_vacuum = INCREMENTAL;
BEGIN;
-- A run of a box's log that this box has met. `number` is how rows here refer to it, `epoch` the random 64 bits of the run as a signed
-- number, `head` the highest sequence up to which nothing is missing.
CREATE TABLE epoch (
  number INTEGER PRIMARY KEY,
  origin BLOB NOT NULL,
  stream INTEGER NOT NULL,
  epoch  INTEGER NOT NULL,
  head   INTEGER NOT NULL,
  UNIQUE (origin, stream, epoch)
) STRICT;

-- Everything that happened, byte for byte as the origin wrote it. `pos` = epoch number << 40 | sequence. All chat and account tables
-- can be made anew from these rows.
CREATE TABLE entry (
  pos INTEGER PRIMARY KEY,
  raw BLOB NOT NULL
) STRICT;

-- Whose sync an entry belongs to. `scope` = 1 and a conversation's id, or 2 and a user's.
CREATE TABLE sync_item (
  scope BLOB NOT NULL,
  pos   INTEGER NOT NULL,
  PRIMARY KEY (scope, pos)
) STRICT, WITHOUT ROWID;

-- Small values by name: the clock's last reading, the box's id.
CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Sums kept up to date by every transaction, because counting rows takes longer the more there are.
CREATE TABLE total (
  name  TEXT NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO total (name, value) VALUES ('messages', 0), ('retained', 0), ('retained_bytes', 0);

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

-- An MQTT session that outlives its connection. `state` is written and read by the broker alone.
CREATE TABLE broker_session (
  number INTEGER PRIMARY KEY,
  client TEXT NOT NULL,
  state  BLOB NOT NULL
) STRICT;

-- What a session subscribed to.
CREATE TABLE broker_subscription (
  session INTEGER NOT NULL,
  filter  TEXT NOT NULL,
  options INTEGER NOT NULL,
  sub_id  INTEGER NOT NULL,
  PRIMARY KEY (session, filter)
) STRICT, WITHOUT ROWID;

-- A message that several queues hold. `refs` = how many rows of broker_queue still name it; the row goes with the last of them.
CREATE TABLE broker_message (
  id   INTEGER PRIMARY KEY,
  refs INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;

-- What a session is still owed. `key` = session << 36 | sequence. The message is in `body`, or in broker_message, or no longer needed.
-- `byte_sum` = bytes ever queued for the session up to and including this row.
CREATE TABLE broker_queue (
  key      INTEGER PRIMARY KEY,
  flags    INTEGER NOT NULL,
  extra    BLOB,
  byte_sum INTEGER NOT NULL,
  message  INTEGER,
  body     BLOB
) STRICT;

-- A QoS 2 message that a client gave us and has not released. `key` = session << 16 | packet identifier.
CREATE TABLE broker_inbound (
  key  INTEGER PRIMARY KEY,
  body BLOB NOT NULL
) STRICT;

-- The retained message of a topic. `expires_ms` is the broker's clock; 0 = never.
CREATE TABLE retained (
  topic      TEXT NOT NULL PRIMARY KEY,
  body       BLOB NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX retained_expires ON retained (expires_ms) WHERE expires_ms > 0;

INSERT INTO epoch VALUES (1, x'00010203040506070801', 2, 7, 1);
INSERT INTO entry VALUES (1099511627777, x'0810');
INSERT INTO sync_item VALUES (x'0100000000000000a00000000000000002', 1099511627777);
INSERT INTO meta VALUES ('hlc', x'0000000000010000');
INSERT INTO user VALUES (x'00000000000000a00000000000000001', 'Ann', 'ann', 'Ann', 1, 0, '', 1, x'00000000000100000001020304050607080100000000000000070000000000000001');
INSERT INTO conversation VALUES (x'00000000000000a00000000000000002', 2, 'Boathouse', 1, x'00000000000100000001020304050607080100000000000000070000000000000001');
INSERT INTO membership VALUES (x'00000000000000a00000000000000002', x'00000000000000a00000000000000001', 1, 2, NULL, x'00000000000100000001020304050607080100000000000000070000000000000001');
INSERT INTO message VALUES (x'00000000000000a00000000000000002', x'00000000000100000001020304050607080100000000000000070000000000000001', x'00000000000000a00000000000000003', x'00000000000000a00000000000000001', 1099511627777, 0);
INSERT INTO retained VALUES ('a/b', x'0102', 0);
UPDATE total SET value = 1 WHERE name IN ('messages', 'retained');
UPDATE total SET value = 5 WHERE name = 'retained_bytes';
PRAGMA application_id = 0x534B5259;
PRAGMA user_version = 1;
COMMIT;
