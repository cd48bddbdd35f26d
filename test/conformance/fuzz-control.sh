#!/bin/sh
# What a client does that is attached, types and takes nothing, and one that passes a descriptor, into the folder that is
# given: each byte of it must be right.
connect='\0\0' turn='\010\0' attach='\001\0\006\001\0\0\0\010\0' type='\013\0\003\0'
output='\006\0\377\377\0' pass='\002\0\003\001\0\0\0\010\0'
printf "$connect$turn$attach$turn$type$turn" >"$1/types"
printf "$connect$turn$attach$turn$output$output$output$output$output$type$turn" >"$1/takes-nothing"
printf "$connect$turn$pass$turn" >"$1/passes"
