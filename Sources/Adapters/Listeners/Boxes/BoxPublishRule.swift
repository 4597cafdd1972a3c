import MQTTCodec
import Replication
import SkerryModel

/// What a box may publish here (FEDERATION.md §2.4).
enum BoxPublishRule {
    enum Verdict: Sendable, Hashable {
        case accepted(FederationTopic)
        /// Under another name than its own, or to another federation.
        case forged(claimed: BoxID?)
        case refused(MQTTReason)
    }

    /// - Parameters:
    ///   - sender: by its certificate.
    ///   - box: this one.
    static func judge(_ topic: String, _ payloadBytes: Int, from sender: BoxID, at box: BoxID, of federation: FederationID) -> Verdict {
        guard let place = FederationTopic(topic) else {
            // A channel that a later version has: no lie, only of no use here.
            return topic.hasPrefix(FederationTopic.prefix(federation, sender)) ? .refused(.topicNameInvalid) : .forged(claimed: nil)
        }
        guard place.federation == federation, place.origin == sender else { return .forged(claimed: place.origin) }
        guard place.addressee == nil || place.addressee == box else { return .refused(.notAuthorized) }
        guard payloadBytes <= LinkChannel.payloadBytesMax else { return .refused(.quotaExceeded) }
        return .accepted(place)
    }
}
