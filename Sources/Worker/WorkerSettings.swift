package import Cluster

/// What a worker may do and how much.
package struct WorkerSettings: Equatable, Sendable {
    package var capacity = WorkerCapacity(slots: 8)
    /// By which tasks choose it, each as name=value.
    package var labels: [String] = []
    /// Programs that `exec@1` may start: patterns on real paths, `*` stopping at '/'. Empty: none.
    package var allowExec: [String] = []
    /// Hosts that `http@1` may reach though they lie in loopback, link-local or private ranges: `host` or `host:port`.
    package var allowHTTP: [String] = []
    /// Where programs without an absolute path are looked up.
    package var execPath = "/usr/local/bin:/usr/bin:/bin"
    /// The program whose hidden entry starts tasks under limits; nil starts them without.
    package var guardProgram: String?
    /// Between TERM and KILL.
    package var grace = Duration.seconds(5)
    /// Results and messages up to this.
    package var outputBytes = 64 << 10
    /// What is kept of an attempt's output.
    package var logBytes = 1 << 20
    /// Runs whose attempts' logs are kept.
    package var loggedRuns = 2000
    package init() {}
}
