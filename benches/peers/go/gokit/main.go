// The service as go-kit's users write it, with limiter, breaker and Prometheus around its endpoint: the peer of the kit's full
// chain. Usage: gokit grpc|http. A line on stdout says where it listens.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/ratelimit"
	grpctransport "github.com/go-kit/kit/transport/grpc"
	httptransport "github.com/go-kit/kit/transport/http"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"peers/press"
)

// Note is the message of the service, free of its transports.
type Note struct {
	ID     int64  `json:"id,string"`
	Title  string `json:"title"`
	Author string `json:"author"`
	Text   string `json:"text"`
	Pages  int32  `json:"pages"`
}

// Service is what the endpoints stand around.
type Service interface {
	Echo(context.Context, Note) (Note, error)
}

type editor struct{}

func (editor) Echo(_ context.Context, note Note) (Note, error) { return note, nil }

func makeEcho(service Service) endpoint.Endpoint {
	return func(ctx context.Context, request interface{}) (interface{}, error) {
		note, ok := request.(Note)
		if !ok {
			return nil, errors.New("not a note")
		}
		return service.Echo(ctx, note)
	}
}

func decodeGRPC(_ context.Context, request interface{}) (interface{}, error) {
	note, ok := request.(*press.Note)
	if !ok {
		return nil, errors.New("not a note")
	}
	return Note{ID: note.Id, Title: note.Title, Author: note.Author, Text: note.Text, Pages: note.Pages}, nil
}

func encodeGRPC(_ context.Context, response interface{}) (interface{}, error) {
	note, ok := response.(Note)
	if !ok {
		return nil, errors.New("not a note")
	}
	return &press.Note{Id: note.ID, Title: note.Title, Author: note.Author, Text: note.Text, Pages: note.Pages}, nil
}

type grpcServer struct {
	press.UnimplementedPressServer
	echo grpctransport.Handler
}

func (s *grpcServer) Echo(ctx context.Context, request *press.Note) (*press.Note, error) {
	_, response, err := s.echo.ServeGRPC(ctx, request)
	if err != nil {
		return nil, err
	}
	note, ok := response.(*press.Note)
	if !ok {
		return nil, errors.New("not a note")
	}
	return note, nil
}

func decodeHTTP(_ context.Context, request *http.Request) (interface{}, error) {
	var note Note
	err := json.NewDecoder(request.Body).Decode(&note)
	return note, err
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: gokit grpc|http")
	}
	echo := makeEcho(editor{})
	echo = newBreaker().middleware(echo)
	echo = ratelimit.NewErroringLimiter(rate.NewLimiter(rate.Limit(1e9), 1e9))(echo)
	echo = instrument("Echo")(echo)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	switch os.Args[1] {
	case "grpc":
		server := grpc.NewServer()
		press.RegisterPressServer(server, &grpcServer{echo: grpctransport.NewServer(echo, decodeGRPC, encodeGRPC)})
		log.Fatal(server.Serve(listener))
	case "http":
		mux := http.NewServeMux()
		mux.Handle("/v1/notes", httptransport.NewServer(echo, decodeHTTP, httptransport.EncodeJSONResponse))
		log.Fatal(http.Serve(listener, mux))
	default:
		log.Fatal("usage: gokit grpc|http")
	}
}
