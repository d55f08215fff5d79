package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"
)

// Debian packages neither go-kit's own breaker nor the libraries that it stands on, so this is the least that a breaker does: a mutex,
// a count of failures in a row, and a time after which it tries again.
type breaker struct {
	mutex    sync.Mutex
	failures int
	until    time.Time
}

const (
	mostFailures = 5
	pause        = time.Minute
)

var errOpen = errors.New("circuit breaker is open")

func newBreaker() *breaker { return &breaker{} }

func (b *breaker) admit() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.failures < mostFailures || time.Now().After(b.until)
}

func (b *breaker) done(err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if err == nil {
		b.failures = 0
		return
	}
	b.failures++
	if b.failures >= mostFailures {
		b.until = time.Now().Add(pause)
	}
}

func (b *breaker) middleware(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request interface{}) (interface{}, error) {
		if !b.admit() {
			return nil, errOpen
		}
		response, err := next(ctx, request)
		b.done(err)
		return response, err
	}
}

// instrument counts and times calls. Debian packages no metrics of go-kit either; with labels of each call, as its adapter looks them
// up.
func instrument(method string) endpoint.Middleware {
	count := prometheus.NewCounterVec(
		prometheus.CounterOpts{Name: "request_count", Help: "Calls."}, []string{"method", "error"})
	latency := prometheus.NewHistogramVec(
		prometheus.HistogramOpts{Name: "request_latency_seconds", Help: "Time of calls."}, []string{"method", "error"})
	prometheus.MustRegister(count, latency)
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request interface{}) (response interface{}, err error) {
			defer func(begin time.Time) {
				failed := "false"
				if err != nil {
					failed = "true"
				}
				count.WithLabelValues(method, failed).Inc()
				latency.WithLabelValues(method, failed).Observe(time.Since(begin).Seconds())
			}(time.Now())
			return next(ctx, request)
		}
	}
}
