import NIOCore
import Testing

@testable import SkerryServer

@Suite struct RequestPaceTests {
    private static func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

    @Test("between requests nothing is too slow")
    func idle() {
        var pace = RequestPace(bounds: RequestPace.Bounds())
        #expect(!pace.isTooSlow(now: Self.at(10_000)).isTooSlow)
        pace.bytesCame(100, now: Self.at(0))
        pace.headEnded(now: Self.at(1))
        pace.requestEnded()
        #expect(!pace.isTooSlow(now: Self.at(10_000)).isTooSlow)
    }

    @Test("a head has ten seconds from its first byte, however many bytes come")
    func head() {
        var pace = RequestPace(bounds: RequestPace.Bounds())
        for second in 100...110 {
            pace.bytesCame(1, now: Self.at(Int64(second)))
            #expect(!pace.isTooSlow(now: Self.at(Int64(second))).isTooSlow)
        }
        #expect(pace.isTooSlow(now: Self.at(111)) == (true, true))
    }

    @Test("a body may take thirty seconds; a longer one must keep its pace", arguments: [(10, true), (300, false)])
    func body(_ bytesPerSecond: Int, _ isTooSlow: Bool) {
        var pace = RequestPace(bounds: RequestPace.Bounds())
        pace.bytesCame(100, now: Self.at(0))
        pace.headEnded(now: Self.at(0))
        for second in 1...60 {
            pace.bytesCame(bytesPerSecond, now: Self.at(Int64(second)))
            #expect(pace.isTooSlow(now: Self.at(Int64(second))) == (isTooSlow && second > 30, false), "second \(second)")
        }
    }

    @Test("a client that takes nothing of its answer for a minute is let go; one that takes some is not")
    func taking() {
        var pace = RequestPace(bounds: RequestPace.Bounds())
        pace.roomChanged(hasRoom: false, now: Self.at(0))
        pace.roomChanged(hasRoom: false, now: Self.at(50))
        #expect(!pace.isTooSlow(now: Self.at(60)).isTooSlow)
        #expect(pace.isTooSlow(now: Self.at(61)) == (true, false))
        pace.roomChanged(hasRoom: true, now: Self.at(61))
        #expect(!pace.isTooSlow(now: Self.at(200)).isTooSlow)
        pace.roomChanged(hasRoom: false, now: Self.at(200))
        #expect(!pace.isTooSlow(now: Self.at(260)).isTooSlow)
    }

    @Test(
        "dates are written as HTTP wants them",
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] as [(UInt64, String)])
    func dates(_ seconds: UInt64, _ text: String) {
        #expect(HTTPDate.text(seconds) == text)
    }
}
