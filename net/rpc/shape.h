// SPDX-License-Identifier: Apache-2.0
/* shape.h - shapes of a method's params, for its row in a table of methods: what rpc.methods tells and the simulator makes calls of.
 *
 * JSON Schema 2020-12 as operation.h writes it, of the params array.  A MessagePack bin is a string with contentEncoding binary,
 * minLength and maxLength in bytes; x-rows: it is packed rows, with name and bytes of each field, little-endian.
 */
#ifndef NET_RPC_SHAPE_H
#define NET_RPC_SHAPE_H

#define SHAPE_ANY "{'type':'array'}"
#define SHAPE_PARAMS(only) "{'type':'array','prefixItems':[" only "],'minItems':1,'maxItems':1}"
#define SHAPE_PARAMS2(first, options) "{'type':'array','prefixItems':[" first "," options "],'minItems':1,'maxItems':2}"
#define SHAPE_ARRAY(of) "{'type':'array','items':" of ",'minItems':1,'maxItems':8190}"
#define SHAPE_LIST(of) SHAPE_PARAMS(SHAPE_ARRAY(of))           /* one array */

#define SHAPE_NAME "{'$ref':'#/components/schemas/Name'}"
#define SHAPE_ID \
	"{'title':'id','type':['string','integer'],'contentEncoding':'binary','minLength':16,'maxLength':16,'minimum':0}"
#define SHAPE_ROWS(fields) "{'type':'string','contentEncoding':'binary','x-rows':[" fields "]}"

/* An account: its id, or its names. */
#define SHAPE_ACCOUNT \
	"{'oneOf':[" SHAPE_ID "," \
	"{'type':'object','properties':{'tenant':" SHAPE_NAME ",'member':" SHAPE_NAME ",'program':" SHAPE_NAME ",'unit':" SHAPE_NAME "}," \
	"'required':['tenant','member','unit'],'additionalProperties':false}," \
	"{'type':'object','properties':{'tenant':" SHAPE_NAME ",'unit':" SHAPE_NAME "," \
	"'kind':{'enum':['liability','redeemed','expired','adjusted','in_transit']}}," \
	"'required':['tenant','unit','kind'],'additionalProperties':false}]}"

#endif
