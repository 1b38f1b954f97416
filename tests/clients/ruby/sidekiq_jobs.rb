# The jobs of sidekiq.test.rb; the worker process loads this.

require "sidekiq"

Redis.silence_deprecations = true

# Sidekiq asks for what is due every five seconds or so; a test does not wait that long.
Sidekiq.configure_server { |config| config.options[:poll_interval_average] = 0.2 }

module Notes
  def note(text)
    Sidekiq.redis { |redis| redis.rpush("notes", text) }
  end
end

class Add
  include Sidekiq::Job

  def perform(left, right)
    Sidekiq.redis { |redis| redis.incrby("sum", left + right) }
  end
end

class Note
  include Sidekiq::Job
  include Notes

  def perform(text)
    note(text)
  end
end

class AtTheThirdTry
  include Sidekiq::Job
  include Notes
  sidekiq_options retry: 5

  def perform
    tries = Sidekiq.redis { |redis| redis.incr("tries") }
    raise "try #{tries}" if tries < 3

    note("try #{tries}")
  end
end

class Fails
  include Sidekiq::Job
  sidekiq_options retry: 0

  def perform(text)
    raise ArgumentError, text
  end
end

class Waits
  include Sidekiq::Job
  include Notes
  sidekiq_options queue: "low"

  def perform
    Sidekiq.redis { |redis| redis.blpop("go on", timeout: 120) }
    note("went on")
  end
end
