import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import Primitives
import Text
import Wire

/// `http@1`: one request. Its status decides; its body is JSON when it can be read as such, else text.
struct HTTPTask: TaskHandler {
    let settings: WorkerSettings
    let node: NodeID
    let client: HTTPClient

    func run(_ assignment: TaskAssignment, log: AttemptLog) async -> AttemptOutcome {
        do {
            let request = try await request(assignment)
            log.append(Array("\(request.method.rawValue) \(request.url)\n".utf8))
            let response = try await client.execute(request, timeout: .nanoseconds(assignment.timeout.nanoseconds))
            let body = try await response.body.collect(upTo: settings.outputBytes)
            let bytes = Array(body.readableBytesView)
            log.append(Array("\(response.status.code) \(response.status.reasonPhrase), \(bytes.count) bytes\n".utf8))
            return outcome(response, bytes)
        } catch let error as TaskError {
            log.append(Array("\(error.message)\n".utf8))
            return .failed(error)
        } catch is CancellationError {
            return .cancelled
        } catch is NIOTooManyBytesError {
            return .failed(TaskError(type: "payload_too_large", message: "the answer exceeds \(settings.outputBytes) bytes"))
        } catch let error as HTTPClientError where error == .deadlineExceeded {
            return .timedOut(TaskError(type: "timeout", message: "no answer within \(assignment.timeout.text)"))
        } catch {
            log.append(Array("\(error)\n".utf8))
            return .failed(TaskError(type: "connection", message: "\(error)"))
        }
    }

    private func outcome(_ response: HTTPClientResponse, _ bytes: [UInt8]) -> AttemptOutcome {
        let status = Int(response.status.code)
        let body: Value = bytes.isEmpty ? .null : (try? JSONScanner.parse(bytes)) ?? .string(String(decoding: bytes, as: UTF8.self))
        guard status < 300 else {
            let detail = "status \(status) \(response.status.reasonPhrase): \(String(decoding: bytes.prefix(200), as: UTF8.self))"
            return .failed(TaskError(type: "http_status", message: detail, status: status))
        }
        return .succeeded(["status": Value(status), "body": body])
    }

    private func request(_ assignment: TaskAssignment) async throws -> HTTPClientRequest {
        guard let text = assignment.input["url"]?.string, let url = URL(string: text), let host = url.host(),
            ["http", "https"].contains(url.scheme)
        else {
            throw TaskError(type: "invalid_input", message: "'url' is no http or https URL")
        }
        try await OutgoingGuard(allowed: settings.allowHTTP).check(host: host, port: url.port ?? (url.scheme == "https" ? 443 : 80))
        var request = HTTPClientRequest(url: text)
        request.method = HTTPMethod(rawValue: assignment.input["method"]?.string ?? "GET")
        request.headers.add(name: "User-Agent", value: "distric")
        for member in assignment.input["headers"]?.map?.members ?? [] {
            guard let value = member.value.string, !value.utf8.contains(where: { $0 == 0x0D || $0 == 0x0A }) else {
                throw TaskError(type: "invalid_input", message: "header '\(member.key)' must be text of one line")
            }
            request.headers.replaceOrAdd(name: member.key, value: value)
        }
        request.headers.replaceOrAdd(name: "Idempotency-Key", value: assignment.key)
        request.headers.replaceOrAdd(name: "Distric-Fence", value: assignment.fence.description)
        if let trace = assignment.trace {
            request.headers.replaceOrAdd(name: "traceparent", value: trace.traceparent)
            if !trace.state.isEmpty { request.headers.replaceOrAdd(name: "tracestate", value: trace.state) }
        }
        if let body = assignment.input["body"], body != .null {
            if !request.headers.contains(name: "Content-Type") {
                request.headers.add(name: "Content-Type", value: body.string == nil ? "application/json" : "text/plain; charset=utf-8")
            }
            request.body = .bytes(ByteBuffer(bytes: body.string.map { Array($0.utf8) } ?? JSONWriter.bytes(body)))
        }
        return request
    }
}
