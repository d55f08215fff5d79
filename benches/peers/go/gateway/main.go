// grpc-gateway in front of grpc-go, over a loopback connection as its documentation starts it: the peer of the kit's HTTP/JSON. A
// line on stdout says where HTTP listens.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc"

	"peers/press"
)

type editor struct {
	press.UnimplementedPressServer
}

func (*editor) Echo(_ context.Context, note *press.Note) (*press.Note, error) { return note, nil }

func main() {
	calls, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	press.RegisterPressServer(server, &editor{})
	go func() { log.Fatal(server.Serve(calls)) }()

	mux := runtime.NewServeMux()
	options := []grpc.DialOption{grpc.WithInsecure()}
	if err := press.RegisterPressHandlerFromEndpoint(context.Background(), mux, calls.Addr().String(), options); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	log.Fatal(http.Serve(listener, mux))
}
