# Sidekiq: a worker process of its own; jobs now and later, retried and buried, seen and stopped.

require "minitest/autorun"
ENV["REDIS_URL"] = "redis://127.0.0.1:#{ENV.fetch("EAVE_RESP_PORT")}/0"
require_relative "sidekiq_jobs"
require "sidekiq/api"

class SidekiqTest < Minitest::Test
  def setup
    Sidekiq.redis(&:flushall)
    Sidekiq.logger.level = Logger::WARN
  end

  def until_true
    deadline = now + 60
    until (value = yield)
      flunk("it did not come true") if now > deadline
      sleep 0.02
    end
    value
  end

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def notes = Sidekiq.redis { |redis| redis.lrange("notes", 0, -1) }

  # Runs the block while a worker process runs, and sees that process end in order.
  def with_worker
    jobs = File.join(__dir__, "sidekiq_jobs.rb")
    pid = spawn("sidekiq", "-r", jobs, "-c", "4", "-q", "default,2", "-q", "low", "-t", "5")
    waiter = Process.detach(pid)
    until_true { Sidekiq::ProcessSet.new.size == 1 }
    yield pid
    Process.kill("TERM", pid) if waiter.alive?
    assert_predicate waiter.value, :success?
  ensure
    Process.kill("KILL", pid) if waiter&.alive?
  end

  def test_many_jobs
    100.times { |n| Add.perform_async(n, 1) }
    Add.perform_bulk((1..50).map { |n| [n, 0] })
    assert_equal 150, Sidekiq::Queue.new.size
    with_worker do
      until_true { Sidekiq::Stats.new.processed == 150 }
      assert_equal((0..99).sum + 100 + (1..50).sum, Sidekiq.redis { |redis| redis.get("sum").to_i })
      assert_equal 0, Sidekiq::Stats.new.failed
    end
  end

  def test_jobs_for_later_and_their_removal
    Note.perform_in(3600, "far")
    id = Note.perform_in(3600, "never")
    Note.perform_in(0.3, "soon")
    later = Sidekiq::ScheduledSet.new
    assert_equal 3, later.size
    assert_equal ["never"], later.find_job(id).args
    assert later.find_job(id).delete
    with_worker do
      until_true { notes == ["soon"] }
      later.each(&:add_to_queue)
      until_true { notes == %w[soon far] }
    end
    assert_equal 0, later.size
  end

  def test_failures_are_tried_again_or_buried
    with_worker do
      AtTheThirdTry.perform_async
      Fails.perform_async("ünï")
      until_true do
        # Sidekiq waits some seconds more than it is told to.
        Sidekiq::RetrySet.new.retry_all
        notes == ["try 3"]
      end
      dead = Sidekiq::DeadSet.new
      until_true { dead.size == 1 }
      assert_equal ["ArgumentError", "ünï"], dead.first.item.values_at("error_class", "error_message")
      dead.first.retry
      until_true { Sidekiq::Stats.new.failed == 4 && dead.size == 1 }
      assert_equal 1, dead.clear
    end
  end

  def test_a_worker_is_seen_and_told_to_be_quiet
    Waits.perform_async
    with_worker do |pid|
      (process,) = until_true { (found = Sidekiq::ProcessSet.new.to_a).any? { |one| one["busy"] == 1 } && found }
      assert_equal [pid, 4, %w[default low]], [process["pid"], process["concurrency"], process["queues"].uniq.sort]
      (_, _, work), = until_true { (found = Sidekiq::Workers.new.to_a).any? && found }
      assert_equal ["low", "Waits"], [work["queue"], work["payload"]["class"]]
      process.quiet!
      until_true { Sidekiq::ProcessSet.new.first&.stopping? }
      Note.perform_async("nobody takes it")
      Sidekiq.redis { |redis| redis.rpush("go on", "now") }
      until_true { notes == ["went on"] }
    end
    assert_equal ["nobody takes it"], Sidekiq::Queue.new.first.args
    assert_equal 0, Sidekiq::ProcessSet.new.size
  end

  def test_queues_are_listed_and_cleared
    %w[one two three].each { |text| Note.set(queue: "other").perform_async(text) }
    other = Sidekiq::Queue.new("other")
    assert_equal [["three"], ["two"], ["one"]], other.map(&:args)
    assert_includes Sidekiq::Queue.all.map(&:name), "other"
    assert_operator other.latency, :>=, 0
    assert_equal({ "other" => 3 }, Sidekiq::Stats.new.queues)
    other.find { |job| job.args == ["two"] }.delete
    assert_equal 2, other.size
    other.clear
    assert_equal 0, other.size
    assert_empty Sidekiq.redis { |redis| redis.keys("queue:*") }
  end
end
