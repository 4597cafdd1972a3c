extension Schema {
    static let federation: StaticString = """
        -- `birth` = the stamp of the first entry of the epoch that is held; 0 = of none. `is_final` = it is over and the same on every box.
        -- `low` = nothing up to here is held any more. `replicated` = how far others hold what this box wrote.
        ALTER TABLE epoch ADD COLUMN birth INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE epoch ADD COLUMN is_final INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE epoch ADD COLUMN low INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE epoch ADD COLUMN replicated INTEGER NOT NULL DEFAULT 0;
        -- An entry begins with its type (one byte, behind 08) and its stamp (eight bytes, the lowest first, behind 11).
        UPDATE epoch SET birth = coalesce((
          SELECT sum(((instr('0123456789ABCDEF', substr(h, 7 + 2 * i, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(h, 8 + 2 * i, 1)) - 1) << (8 * i))
          FROM (SELECT hex(substr(raw, 1, 11)) AS h FROM entry WHERE pos = (epoch.number << 40 | 1)),
            (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7)
          WHERE length(h) = 22 AND substr(h, 1, 2) = '08' AND substr(h, 5, 2) = '11' AND substr(h, 21, 1) < '8'), 0);

        -- A batch of another box as it came: `count` entries from `pos` on, and the box's signature over them, so that it can be given on.
        CREATE TABLE batch (
          pos       INTEGER PRIMARY KEY,
          count     INTEGER NOT NULL,
          signature BLOB NOT NULL
        ) STRICT;

        -- In the place of an entry that is no longer needed: the SHA-256 that its batch's signature covers.
        CREATE TABLE dropped (
          pos  INTEGER PRIMARY KEY,
          hash BLOB NOT NULL
        ) STRICT;

        -- The signed member list. `standing` 1 = active, 2 = removed. `endpoints` = one a line. `cut` = of a removed box, how far its logs
        -- count: 17 bytes each, the stream, the epoch, the sequence.
        CREATE TABLE member (
          box        BLOB NOT NULL PRIMARY KEY,
          standing   INTEGER NOT NULL,
          name       TEXT NOT NULL,
          public_key BLOB NOT NULL,
          log_key    BLOB NOT NULL,
          endpoints  TEXT NOT NULL,
          is_issuer  INTEGER NOT NULL,
          version    INTEGER NOT NULL,
          cut        BLOB NOT NULL,
          reason     TEXT NOT NULL,
          signature  BLOB NOT NULL,
          stamp      BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;

        -- Retained messages that a log entry brought have its order; the greater wins, a clearing too.
        ALTER TABLE retained ADD COLUMN stamp BLOB;
        CREATE TABLE retained_cleared (
          topic TEXT NOT NULL PRIMARY KEY,
          stamp BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;

        -- What the entry says while somebody with an older right has the name; NULL while `name` is it.
        ALTER TABLE user ADD COLUMN wanted TEXT;
        ALTER TABLE user ADD COLUMN wanted_key TEXT;
        CREATE INDEX user_wanted_key ON user (wanted_key) WHERE wanted_key IS NOT NULL;

        -- Each user's last edit of a message. Whose message it is may come to be known later; only the sender's own edit counts.
        CREATE TABLE edit (
          mid     BLOB NOT NULL,
          by_user BLOB NOT NULL,
          text    TEXT NOT NULL,
          stamp   BLOB NOT NULL,
          PRIMARY KEY (mid, by_user)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO edit (mid, by_user, text, stamp) SELECT mid, by_user, text, stamp FROM message_edit;
        DROP TABLE message_edit;
        """
}
