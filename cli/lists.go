package cli

import "reflect"

// unknownTag marks a list whose items may not be known to the caller: it is then null in
// machine output, and not empty. Code that knows that it is empty sets an empty slice.
const unknownTag = "nil"

// withLists returns a copy of a value for machine output in which nil slices are empty,
// so that each list is [] and never null or missing. Fields with unknownTag stay nil.
// Slices that the value shares with others are changed in place, which makes no
// difference to Go code.
func withLists(value any) any {
	from := reflect.ValueOf(value)
	if !from.IsValid() {
		return value
	}
	into := reflect.New(from.Type()).Elem()
	into.Set(from)
	fillLists(into)
	return into.Interface()
}

// known returns a list that is nil only if it is not known.
func known[T any](list []T, isKnown bool) []T {
	if !isKnown {
		return nil
	}
	return append([]T{}, list...)
}

func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fillLists(v.Elem())
		}
	case reflect.Struct:
		for field := range v.Type().Fields() {
			value := v.FieldByIndex(field.Index)
			_, unknown := field.Tag.Lookup(unknownTag)
			settable := value.CanSet() || field.Anonymous && value.Kind() == reflect.Struct
			if settable && !(unknown && value.IsNil()) {
				fillLists(value)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 { // bytes, which are a string in JSON
			return
		}
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fillLists(v.Index(i))
		}
	}
}
