package import Crypto
package import SkerryNode
import SwiftASN1

extension FederationIdentity {
    /// What links are made with: the chain of this box, its key, and the CA that all others must come from.
    package func credentials(boxKey: P256.Signing.PrivateKey) -> BoxCredentials {
        func pem(_ der: [UInt8]) -> String { PEMDocument(type: "CERTIFICATE", derBytes: der).pemString + "\n" }
        return BoxCredentials(
            certificateChain: pem(self.certificate) + pem(self.authority), privateKey: boxKey.pemRepresentation, authority: pem(self.authority))
    }
}
