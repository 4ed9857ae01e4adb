package import Primitives
package import ServiceContextModule

/// The trace that the work of the current task belongs to: log lines and spans find it there.
private enum TraceContextKey: ServiceContextKey {
    typealias Value = TraceContext
    static let nameOverride: String? = "distric-trace"
}

extension ServiceContext {
    package var trace: TraceContext? {
        get { self[TraceContextKey.self] }
        set { self[TraceContextKey.self] = newValue }
    }
}

extension TraceContext {
    /// Of the task that asks.
    package static var current: TraceContext? { ServiceContext.current?.trace }

    /// Does some work of this trace.
    package func scope<T>(_ work: () async throws -> T) async rethrows -> T {
        var context = ServiceContext.current ?? .topLevel
        context.trace = self
        return try await ServiceContext.withValue(context) { try await work() }
    }
}
