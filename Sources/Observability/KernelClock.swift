import CKernelClock
import Primitives

/// What the kernel knows of the wall clock's error: adjtimex(2), which whoever keeps the time (chrony, ntpd, systemd-timesyncd) tells it.
package struct KernelClock: Equatable, Sendable {
    /// How far the clock is from the time that is kept to.
    package var offset: Duration
    /// Whether somebody keeps it at all.
    package var isSynchronised: Bool

    /// Nil where the kernel does not say, as in some sandboxes.
    package static var current: KernelClock? {
        var offset: Int64 = 0
        var isSynchronised = false
        guard distric_kernel_clock(&offset, &isSynchronised) else { return nil }
        return KernelClock(offset: .nanoseconds(offset), isSynchronised: isSynchronised)
    }

    /// From which on times of this node mislead whoever compares them with another's.
    private static let tolerance: Duration = .milliseconds(250)

    /// Why the clock is not to be relied on; nil when it is, or when nobody keeps it and nothing is known.
    package var complaint: String? {
        let error = offset < .zero ? .zero - offset : offset
        guard isSynchronised, error > Self.tolerance else { return nil }
        return "the wall clock is \(offset.milliseconds) ms off the time that is kept to; times of this node mislead"
    }
}
