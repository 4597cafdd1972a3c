extension Schema {
    static let broker: StaticString = """
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
        """
}
