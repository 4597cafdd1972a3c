import Synchronization

/// What the box counts. A counter has one home here; where it is shown (`/metrics`, `$SYS`, the admin page) follows from its name.
package enum MetricName: String, Sendable, CaseIterable {
    // Connections
    case connectionsAccepted = "skerry_connections_accepted_total"
    case connectionsRefused = "skerry_connections_refused_total"
    case connectionsLimited = "skerry_connections_limited_total"
    case tlsHandshakesFailed = "skerry_tls_handshakes_failed_total"
    case proxyHeadersRefused = "skerry_proxy_headers_refused_total"
    case reloads = "skerry_settings_reloads_total"
    case reloadsFailed = "skerry_settings_reloads_failed_total"
    case webSocketsOpened = "skerry_websocket_opened_total"
    case webSocketFramesIn = "skerry_websocket_frames_in_total"
    case webSocketFramesOut = "skerry_websocket_frames_out_total"
    case webSocketProtocolErrors = "skerry_websocket_protocol_errors_total"
    case slowConsumers = "skerry_slow_consumers_total"
    case ephemeralDropped = "skerry_ephemeral_dropped_total"
    // Accounts
    case loginsRefused = "skerry_logins_refused_total"
    case loginsLimited = "skerry_logins_limited_total"
    // HTTP
    case httpRequests = "skerry_http_requests_total"
    case httpRefused = "skerry_http_refused_total"
    case httpLimited = "skerry_http_limited_total"
    case httpFailed = "skerry_http_failed_total"
    // Chat
    case sendsLimited = "skerry_sends_limited_total"
    // MQTT
    case mqttConnects = "skerry_mqtt_connects_total"
    case mqttRefused = "skerry_mqtt_refused_total"
    case mqttConnectsLimited = "skerry_mqtt_connects_limited_total"
    case mqttConnectionsFull = "skerry_mqtt_connections_full_total"
    case mqttPacketsTooLarge = "skerry_mqtt_packets_too_large_total"
    case mqttPacketItemsOver = "skerry_mqtt_packet_items_over_total"
    case mqttReceiveExceeded = "skerry_mqtt_receive_maximum_exceeded_total"
    case mqttAliasInvalid = "skerry_mqtt_topic_alias_invalid_total"
    case mqttTopicsTooDeep = "skerry_mqtt_topics_too_deep_total"
    case mqttKeepAlivesCut = "skerry_mqtt_keep_alives_shortened_total"
    case mqttExpiriesCut = "skerry_mqtt_session_expiries_shortened_total"
    case mqttStalledPackets = "skerry_mqtt_stalled_packets_total"
    case mqttProtocolErrors = "skerry_mqtt_protocol_errors_total"
    case mqttPublishesIn = "skerry_mqtt_publish_received_total"
    case mqttPublishesOut = "skerry_mqtt_publish_sent_total"
    case mqttDropped = "skerry_mqtt_publish_dropped_total"
    case mqttQueueFull = "skerry_mqtt_queue_full_total"
    case mqttQueuedBytesFull = "skerry_mqtt_queued_bytes_full_total"
    case mqttShareMoved = "skerry_mqtt_share_moved_total"
    case mqttSyncsRefused = "skerry_mqtt_syncs_refused_total"
    case mqttRetainedExpired = "skerry_mqtt_retained_expired_total"
    case mqttRetainedFull = "skerry_mqtt_retained_full_total"
    case mqttSessionsFull = "skerry_mqtt_sessions_full_total"
    case mqttSubscriptionsFull = "skerry_mqtt_subscriptions_full_total"
    case mqttStalledFull = "skerry_mqtt_stalled_full_total"
    case mqttDenied = "skerry_mqtt_denied_total"
    case mqttWithheld = "skerry_mqtt_withheld_total"
    case mqttTakeOvers = "skerry_mqtt_takeovers_total"
    case mqttKeepAliveTimeouts = "skerry_mqtt_keep_alive_timeouts_total"
    case mqttSocketsOpened = "skerry_mqtt_sockets_opened_total"
    case mqttSessionsExpired = "skerry_mqtt_sessions_expired_total"
    // Federation
    case federationMessagesIn = "skerry_federation_messages_received_total"
    case federationMessagesOut = "skerry_federation_messages_sent_total"
    case federationAlarms = "skerry_federation_alarms_total"
    case mqttPacketsIn = "skerry_mqtt_packets_received_total"
    case mqttPacketsOut = "skerry_mqtt_packets_sent_total"
    case mqttPublishBytesIn = "skerry_mqtt_publish_bytes_received_total"
    case mqttPublishBytesOut = "skerry_mqtt_publish_bytes_sent_total"
    case mqttReauthentications = "skerry_mqtt_reauthentications_total"
    case mqttReauthenticationsRefused = "skerry_mqtt_reauthentications_refused_total"
    case mqttBytesIn = "skerry_mqtt_bytes_received_total"
    case mqttBytesOut = "skerry_mqtt_bytes_sent_total"

    package var help: String {
        switch self {
        case .connectionsAccepted: "Connections accepted, of all kinds."
        case .connectionsRefused: "Connections closed at once because a limit was reached."
        case .connectionsLimited: "Connections closed at once because too many came from one address in a short time."
        case .tlsHandshakesFailed: "Connections whose TLS handshake failed, for a client's certificate too."
        case .proxyHeadersRefused: "Connections closed because of a PROXY header that is wrong, missing, or from an address that is not trusted."
        case .reloads: "Times the settings were read anew and taken."
        case .reloadsFailed: "Times the settings were read anew and something in them could not be taken."
        case .webSocketsOpened: "WebSocket handshakes completed."
        case .webSocketFramesIn: "WebSocket messages received."
        case .webSocketFramesOut: "WebSocket messages sent."
        case .webSocketProtocolErrors: "WebSocket connections closed because of a protocol error."
        case .slowConsumers: "Connections closed because their client did not read."
        case .ephemeralDropped: "Typing and presence events dropped for slow clients."
        case .loginsRefused: "Logins with a wrong name, password or token."
        case .loginsLimited: "Logins refused because of too many tries."
        case .httpRequests: "Requests answered, of all kinds."
        case .httpRefused: "Requests refused with a 4xx status."
        case .httpLimited: "Requests refused because they came too fast."
        case .httpFailed: "Requests that failed with a 5xx status."
        case .sendsLimited: "Writes of users refused because they came too fast."
        case .mqttConnects: "MQTT connections accepted."
        case .mqttRefused: "MQTT connections refused."
        case .mqttConnectsLimited: "MQTT connections refused because too many came from one address in a short time."
        case .mqttConnectionsFull: "MQTT connections refused because the box or the listener has as many as it takes."
        case .mqttPacketsTooLarge: "MQTT connections closed because of a packet larger than the box takes."
        case .mqttPacketItemsOver: "MQTT connections closed because of a packet with more filters or properties than the box takes."
        case .mqttReceiveExceeded: "MQTT connections closed because their client had more messages unacknowledged than it was told it may."
        case .mqttAliasInvalid: "MQTT connections closed because of a topic alias above the maximum."
        case .mqttTopicsTooDeep: "MQTT connections closed because of a topic with more levels than the box takes."
        case .mqttKeepAlivesCut: "MQTT clients that were told a shorter keep-alive than they asked for."
        case .mqttExpiriesCut: "MQTT clients whose session is kept for less long than they asked for."
        case .mqttStalledPackets: "MQTT connections closed because a packet that had begun did not go on."
        case .mqttProtocolErrors: "MQTT connections closed because of a malformed packet or protocol error."
        case .mqttPublishesIn: "MQTT PUBLISH packets received."
        case .mqttPublishesOut: "MQTT PUBLISH packets sent."
        case .mqttDropped: "MQTT messages dropped because a queue was full or a client refuses packets of their size."
        case .mqttQueueFull: "MQTT messages not queued because their receiver's queue was full."
        case .mqttQueuedBytesFull: "MQTT messages not queued because all queues together were full."
        case .mqttShareMoved: "MQTT messages of a shared subscription that went to another member because theirs left."
        case .mqttSyncsRefused: "Requests to v1/me/sync over MQTT refused because too many of one client were being answered."
        case .mqttRetainedExpired: "MQTT retained messages removed because they expired."
        case .mqttRetainedFull: "MQTT messages not retained because the limit of retained messages was reached."
        case .mqttSessionsFull: "MQTT connections refused because too many sessions are kept already."
        case .mqttSubscriptionsFull: "MQTT subscriptions refused because their client has as many as it may."
        case .mqttStalledFull: "MQTT connections closed in the middle of a QoS 2 exchange because the disk is full and too many wait for it."
        case .mqttDenied: "MQTT publishes and subscriptions refused because the client may not."
        case .mqttWithheld: "MQTT messages not given to a subscriber because the access rules do not let it read them."
        case .mqttTakeOvers: "MQTT connections closed because their client id connected again."
        case .mqttKeepAliveTimeouts: "MQTT connections closed because nothing was heard for one and a half keep-alives."
        case .mqttSocketsOpened: "Connections opened to speak MQTT, whatever came of them."
        case .mqttSessionsExpired: "MQTT sessions whose client did not come back in time."
        case .mqttPacketsIn: "MQTT packets of all kinds received."
        case .mqttPacketsOut: "MQTT packets of all kinds sent."
        case .mqttPublishBytesIn: "Bytes of payloads of MQTT PUBLISH packets received."
        case .mqttPublishBytesOut: "Bytes of payloads of MQTT PUBLISH packets sent."
        case .mqttReauthentications: "MQTT clients that proved anew who they are on their connection."
        case .mqttReauthenticationsRefused: "MQTT connections closed because their client could not prove anew who it is."
        case .mqttBytesIn: "Bytes received from MQTT clients."
        case .mqttBytesOut: "Bytes sent to MQTT clients."
        case .federationMessagesIn: "Messages received from other boxes."
        case .federationMessagesOut: "Messages sent to other boxes."
        case .federationAlarms: "Messages of other boxes that were refused, and other things about them that an administrator should know."
        }
    }
}

/// The counters of one box. Adding is one relaxed atomic addition, from any thread.
package final class NodeMetrics: Sendable {
    private let counters: [Counter]
    let labelled = LabelledCounters()

    private final class Counter: Sendable {
        let value = Atomic<Int>(0)
    }

    package init() { self.counters = MetricName.allCases.map { _ in Counter() } }

    package func add(_ name: MetricName, _ count: Int = 1) {
        self.counters[name.index].value.wrappingAdd(count, ordering: .relaxed)
    }

    package func value(_ name: MetricName) -> Int { self.counters[name.index].value.load(ordering: .relaxed) }
}

extension MetricName {
    private static let indices = Dictionary(uniqueKeysWithValues: Self.allCases.enumerated().map { ($0.element, $0.offset) })
    /// Its place in `allCases`; every case has one.
    fileprivate var index: Int { Self.indices[self] ?? 0 }
}
