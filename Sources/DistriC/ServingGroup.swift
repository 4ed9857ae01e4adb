import API
import Observability
import ServiceLifecycle
import Synchronization
import UnixSignals

/// The services of a node while it serves; it may be told to stop before they have begun.
final class ServingGroup: Sendable {
    private let state = Mutex<(group: ServiceGroup?, isStopping: Bool)>((nil, false))

    /// Stops as SIGTERM does: tasks that run get their grace.
    func shutDown() async {
        let running = state.withLock { state in
            state.isStopping = true
            return state.group
        }
        await running?.triggerGracefulShutdown()
    }

    /// Until it is told to stop, or one of them fails.
    ///
    /// - Parameter grace: what tasks that run get when it stops; whatever else has to end gets some seconds more.
    func run(
        _ services: [ServiceGroupConfiguration.ServiceConfiguration], signals: [UnixSignal], grace: Duration, telemetry: Telemetry
    ) async throws {
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: signals, logger: telemetry.logger("lifecycle"))
        configuration.maximumGracefulShutdownDuration = grace + .seconds(15)
        let serving = ServiceGroup(configuration: configuration)
        let isStopping = state.withLock { state in
            state.group = serving
            return state.isStopping
        }
        if isStopping { await serving.triggerGracefulShutdown() }
        do { try await serving.run() } catch let error as HTTPServer.Failure {
            throw DistriCError(.unavailable, error.description)
        } catch let error as HealthDoor.Failure {
            throw DistriCError(.unavailable, error.description)
        }
    }
}
