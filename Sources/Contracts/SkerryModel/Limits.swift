/// Every bound on what comes from outside, with its behaviour at the bound. Defaults suit a small board.
package struct Limits: Sendable, Hashable {
    // MARK: Chat
    /// Bytes of one WebSocket text message; a longer one closes the connection with 1009.
    package var frameBytesMax = 65_536
    /// Levels of JSON nesting; deeper is `bad_request`, before anything is built.
    package var jsonDepthMax = 16
    /// Bytes of the text of a message, and of the data of a custom one; more is `too_large`.
    package var textBytesMax = 8_000
    package var emojiBytesMax = 64
    package var reactionBytesMax = 32
    package var titleBytesMax = 200
    package var displayBytesMax = 100
    package var labelBytesMax = 200
    package var customTypeBytesMax = 64
    package var cidCharactersMax = 64
    /// Members of a group; inviting more is `quota_exceeded`.
    package var groupMembersMax = 500
    package var inviteBatchMax = 50
    /// Conversations one user may be in; more is `quota_exceeded`.
    package var conversationsPerUserMax = 2_000
    /// Different reactions on one message; more is `quota_exceeded`.
    package var reactionsPerMessageMax = 200
    package var syncPageMax = 500
    package var syncPageDefault = 200
    package var historyPageMax = 200
    package var historyPageDefault = 50
    package var listPageMax = 200
    package var listPageDefault = 100
    package var presenceUsersMax = 200
    package var blocksPerUserMax = 1_000
    /// Seconds between two pushes of the same person's typing in the same conversation; one that comes earlier is answered and dropped.
    package var typingSeconds = 3
    /// Users whose sending is being limited, and conversations somebody types in, that are remembered; at the bound the idle are forgotten,
    /// and all of them when nobody is idle.
    package var chatLimiterKeysMax = 16_384
    /// Users who are online at other boxes, of all of them together; beyond, somebody is shown as offline here who is online there only.
    package var onlineElsewhereMax = 100_000
    /// Users who came or went at other boxes and of whom people here are to hear yet; beyond, they do not, and see it when they ask.
    package var announcementsMax = 16_384

    // MARK: Sessions
    /// Seconds a new WebSocket has to say `hello`; then it is closed with 4408.
    package var helloSecondsMax = 5
    /// From the begin of a trusted proxy's connection to the end of its PROXY header.
    package var proxyHeaderSecondsMax = 5
    package var heartbeatSeconds = 25
    /// Requests of one session that are waiting for an answer; reading pauses at the bound.
    package var requestsInFlightMax = 256
    /// Of those, requests that read pages: each may answer with megabytes, so the next ones wait their turn.
    package var pagesInFlightMax = 4
    /// Bytes waiting for one client: ephemeral pushes are dropped above the first, the connection is closed as a slow consumer above the second.
    package var outboxEphemeralBytesMax = 64 * 1024
    package var outboxBytesMax = 1024 * 1024
    /// Bad frames in a row before the connection is closed with 4400.
    package var badFramesMax = 10
    package var sessionsPerUserMax = 64

    // MARK: Commit queue
    /// Jobs waiting for the writer; at the bound a request is refused with `busy`.
    package var commitQueueMax = 16_384
    /// Jobs of one transaction, so that the first of them is not kept waiting by the last.
    package var commitGroupMax = 1_024
    /// Jobs waiting for a reader thread; at the bound a request is refused with `busy`.
    package var readQueueMax = 4_096

    // MARK: Accounts
    package var passwordCharactersMin = 8
    package var passwordCharactersMax = 256
    package var nameCharactersMax = 32
    package var deviceNameBytesMax = 64
    package var devicesPerUserMax = 50
    package var tokenDays = 90
    package var claimMinutes = 60
    package var resetHours = 24
    /// Password checks waiting for a hashing thread; at the bound a login is refused with `busy`.
    package var passwordQueueMax = 32
    /// Addresses and names that the login limiter remembers; at the bound the longest idle is forgotten.
    package var limiterKeysMax = 4_096
    /// Device tokens whose owner is remembered; at the bound an eighth is forgotten and asked of the store again.
    package var tokenCacheMax = 2_048
    /// MQTT passwords that were right lately; at the bound the oldest eighth is forgotten and checked in full again.
    package var verifiedPasswordsMax = 1_024
    /// Access rules of the whole box; one more is `quota_exceeded`. All of them are in memory.
    package var accessRulesMax = 1_000
    /// Bytes of the topic filter of an access rule.
    package var accessFilterBytesMax = 1_024
    /// Sends of one user: bucket size and refill per second; beyond is `rate_limited`.
    package var sendBurst = 2_000
    package var sendPerSecond = 500

    // MARK: HTTP
    package var httpBodyBytesMax = 256 * 1024
    /// What the box keeps of one request or message of somebody who has not said who they are: a REST body is refused with 413, a WebSocket
    /// closed with 1009. Thousands of strangers at once must not fill the memory of a small box.
    package var strangerBytesMax = 16 * 1024
    /// The largest MQTT CONNECT, which comes from a stranger too; above it the connection is closed. The largest will fits.
    package var connectPacketBytesMax = 80 * 1024
    /// Bytes of a retained payload that an administrator is shown; the rest is left out.
    package var retainedShownBytesMax = 64 * 1024
    /// REST requests of one user, or of one address without a token: bucket size and refill per second; beyond is `rate_limited`.
    package var httpBurst = 2_000
    package var httpPerSecond = 500
    /// Answers to requests with an `Idempotency-Key` that are remembered, of all users together; at the bound the oldest is forgotten.
    package var idempotencyKeysMax = 1_024
    package var connectionsMax = 10_000
    package var connectionsPerAddressMax = 5_000
    /// New connections of one address, of all kinds: bucket size and refill per second; beyond, a connection is closed at once.
    package var connectBurst = 5_000
    package var connectsPerSecond = 500

    package init() {}
}
