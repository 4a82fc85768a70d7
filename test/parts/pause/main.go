// Pause is the program of the test pods: it waits until it is told to end. Its
// image holds nothing else, so what a test wants to try from inside a pod, where
// there is no shell, is here too:
//
//	pause                  waits for SIGINT or SIGTERM
//	pause dial HOST:PORT   tries a TCP connection: "connected", or the error and exit 1
//	pause cat FILE         prints a file
//	pause resolve NAME     prints the addresses of a host name, one a line
//	pause serve HOST:PORT  accepts TCP connections, closes each, until it is told to end
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		// On stdout, as "connected" is: one stream has the result.
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 0:
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
		<-end
		return nil
	case len(args) == 2 && args[0] == "dial":
		conn, err := net.DialTimeout("tcp", args[1], 3*time.Second)
		if err != nil {
			return err
		}
		fmt.Println("connected")
		return conn.Close()
	case len(args) == 2 && args[0] == "resolve":
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		addresses, err := net.DefaultResolver.LookupHost(ctx, args[1])
		if err != nil {
			return err
		}
		fmt.Println(strings.Join(addresses, "\n"))
		return nil
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 2 && args[0] == "cat":
		f, err := os.Open(args[1])
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, f)
		return err
	}
	return fmt.Errorf("usage: pause [dial HOST:PORT | cat FILE | resolve NAME | serve HOST:PORT]")
}

func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	<-end
	return listener.Close()
}
