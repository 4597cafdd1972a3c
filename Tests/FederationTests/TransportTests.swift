import CMosquitto
import Federation
import Testing

@Test("libmosquitto is linked and says its version")
func libraryVersion() {
    #expect(String(cString: skerry_mosquitto_version()).hasPrefix("2."))
}
