import Primitives
import Synchronization
import Testing

@testable import Observability

/// What does not answer, and a clock that is off (StallWatch.swift, KernelClock.swift).
struct StallWatchTests {
    /// Answers when it is told to.
    private final class Slow: Sendable {
        let waiting = Mutex<[@Sendable () -> Void]>([])
        func ask(_ answer: @escaping @Sendable () -> Void) { waiting.withLock { $0.append(answer) } }
        func answer() {
            for one in waiting.withLock({ asked in
                defer { asked = [] }; return asked
            }) { one() }
        }
    }

    private let clock = TestClock()
    private let telemetry: Telemetry
    private let slow = Slow()

    init() throws {
        clock.advance(by: .seconds(1))
        telemetry = .quiet(node: try NodeID("a"), clock: clock)
    }

    private func status(_ component: String) -> HealthRegistry.Component? { telemetry.health.all.first { $0.name == component } }

    @Test func `what does not answer is degraded until it does`() throws {
        let watch = StallWatch(
            [.init("loops", "loop 1", .asks { [slow] in slow.ask($0) }), .init("loops", "loop 2", .asks { $0() })], telemetry: telemetry)
        watch.look()
        #expect(status("loops")?.status == .up)
        clock.advance(by: .milliseconds(1999))
        watch.look()
        #expect(status("loops")?.status == .up)
        clock.advance(by: .milliseconds(1))
        watch.look()
        #expect(status("loops")?.status == .degraded)
        #expect(status("loops")?.reason == "loop 1 has not answered for 2s")
        // It is asked once, however long it takes.
        for _ in 0..<10 { watch.look() }
        #expect(slow.waiting.withLock { $0.count } == 1)
        #expect(telemetry.events.latest(9).map(\.kind) == ["node.stalled"])
        slow.answer()
        watch.look()
        #expect(status("loops")?.status == .up)
        #expect(telemetry.events.latest(9).map(\.kind) == ["node.stalled", "node.recovered"])
        let text = String(decoding: PrometheusText.render(telemetry.metrics.snapshot, as: .prometheus), as: UTF8.self)
        #expect(text.contains("distric_stalls_total{part=\"loop 1\"} 1\n"))
        #expect(text.contains("distric_stalls_total{part=\"loop 2\"} 0\n"))
    }

    @Test func `work that tells its age is degraded while it is too old`() throws {
        let age = Mutex<Duration?>(nil)
        let watch = StallWatch([.init("disk", "the log", .tells { age.withLock { $0 } })], telemetry: telemetry)
        for (told, expected) in [
            (nil, HealthRegistry.Status.up), (.seconds(1), .up), (.seconds(60), .degraded), (.milliseconds(1), .up),
        ] as [(Duration?, HealthRegistry.Status)] {
            age.withLock { $0 = told }
            watch.look()
            #expect(status("disk")?.status == expected)
        }
    }

    @Test func `a clock is complained of when it is kept and off`() {
        func complaint(_ milliseconds: Int, _ isSynchronised: Bool = true) -> String? {
            KernelClock(offset: .milliseconds(milliseconds), isSynchronised: isSynchronised).complaint
        }
        #expect(complaint(0) == nil && complaint(250) == nil && complaint(-250) == nil)
        #expect(complaint(251)?.contains("251 ms off") == true)
        #expect(complaint(-3000)?.contains("-3000 ms off") == true)
        #expect(complaint(9000, false) == nil)
    }
}
