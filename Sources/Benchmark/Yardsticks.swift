import Foundation

/// The same measured of the C++ libraries that most would take, where Debian's packages with their headers are installed
/// (prometheus-cpp-dev, libspdlog-dev): built and run beside our own.
struct Yardsticks {
    let report: Report

    /// Prints `CASE METRIC FIGURE UNIT`, a line each.
    private static let metricsProgram = #"""
        #include <prometheus/counter.h>
        #include <prometheus/histogram.h>
        #include <prometheus/registry.h>

        #include <chrono>
        #include <cstdio>
        #include <functional>
        #include <thread>
        #include <vector>

        // Nanoseconds a call, all threads at it at once.
        static void measure(const char *metric, int threads, int calls, std::function<void(int)> loop) {
            auto began = std::chrono::steady_clock::now();
            std::vector<std::thread> all;
            for (int number = 0; number < threads; number++) all.emplace_back(loop, calls);
            for (auto &thread : all) thread.join();
            std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
            std::printf("%d-thread%s %s %f ns\n", threads, threads == 1 ? "" : "s", metric, took.count() / calls);
        }

        int main() {
            prometheus::Registry registry;
            auto &counters = prometheus::BuildCounter().Name("bench_total").Help("Bench").Register(registry);
            auto &counter = counters.Add({{"state", "done"}});
            auto &histogram = prometheus::BuildHistogram().Name("bench_seconds").Help("Bench").Register(registry).Add(
                {}, prometheus::Histogram::BucketBoundaries{0.001, 0.01, 0.1, 1});
            for (int threads : {1, 2}) {
                measure("counter", threads, 5000000, [&](int calls) { while (calls-- > 0) counter.Increment(); });
                measure("histogram-bounds", threads, 5000000,
                        [&](int calls) { while (calls-- > 0) histogram.Observe((calls & 0x3FF) / 1000.0); });
                measure("look-up-and-increment", threads, 200000, [&](int calls) {
                    while (calls-- > 0) counters.Add({{"state", "done"}, {"kind", "exec"}}).Increment();
                });
            }
        }
        """#

    private static let logsProgram = #"""
        #include <spdlog/async.h>
        #include <spdlog/sinks/basic_file_sink.h>
        #include <spdlog/spdlog.h>

        #include <chrono>
        #include <cstdio>
        #include <string>
        #include <thread>
        #include <vector>

        // Lines a second until the last is written; nothing is escaped.
        static void measure(const char *mode, int threads, const std::string &path, std::shared_ptr<spdlog::logger> logger, int lines) {
            auto began = std::chrono::steady_clock::now();
            std::vector<std::thread> all;
            for (int number = 0; number < threads; number++)
                all.emplace_back([&] {
                    for (int line = 0; line < lines / threads; line++)
                        logger->info("request answered path={} note={} number={}", "/api/v1/messages", "first second", line);
                });
            for (auto &thread : all) thread.join();
            logger.reset();
            spdlog::shutdown();
            std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
            std::printf("%s-%d-thread%s three-values-not-escaped %f lines/s\n", mode, threads, threads == 1 ? "" : "s", lines / took.count());
            std::remove(path.c_str());
        }

        int main(int, char **arguments) {
            std::string path = arguments[1];
            for (int threads : {1, 2}) {
                measure("sync", threads, path, spdlog::basic_logger_mt("bench", path, true), 1000000);
                spdlog::init_thread_pool(32768, 1);
                measure("async", threads, path, spdlog::basic_logger_mt<spdlog::async_factory>("bench", path, true), 1000000);
            }
        }
        """#

    func metrics() throws { try run("prometheus-cpp-core", "prometheus-cpp-dev", who: "prometheus-cpp", Self.metricsProgram) }

    func logs() throws { try run("spdlog", "libspdlog-dev", who: "spdlog", Self.logsProgram) }

    /// Builds and runs one; says so where it cannot.
    private func run(_ library: String, _ package: String, who: String, _ program: String) throws {
        let found = try Self.output(["pkg-config", "--cflags", "--libs", library])
        guard found.code == 0 else {
            let text = "no yardstick: \(package), pkg-config and clang++ are needed for \(who)\n"
            return FileHandle.standardError.write(Data(text.utf8))
        }
        let place = FileManager.default.temporaryDirectory.appending(path: "distric-yardstick-\(UUID().uuidString)")
            .path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        try Data(program.utf8).write(to: URL(filePath: place + "/bench.cc"))
        let options = found.text.split { $0 == " " || $0 == "\n" }.map(String.init)
        let built = try Self.output(
            ["clang++", "-std=c++17", "-O2", "-o", place + "/bench", place + "/bench.cc"] + options + ["-lpthread"])
        guard built.code == 0 else {
            return FileHandle.standardError.write(Data("no yardstick: clang++ could not build that of \(who)\n".utf8))
        }
        for line in try Self.output([place + "/bench", place + "/log"]).text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            guard parts.count == 4, let number = Double(parts[2]) else { continue }
            report.figure(String(parts[0]), String(parts[1]), number, String(parts[3]), who: who)
        }
    }

    static func output(_ command: [String]) throws -> (code: Int32, text: String) {
        let (process, pipe) = (Process(), Pipe())
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }
}
