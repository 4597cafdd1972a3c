extension Schema {
    static let log: StaticString = """
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
        """
}
